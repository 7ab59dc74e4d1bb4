import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Writes a self-signed certificate for these hosts and its key, named as certbot names them. Returns their paths. */
export async function makeCertificate(folder: string, host: string, ...otherHosts: string[]) {
  const [key, certificate] = [join(folder, 'privkey.pem'), join(folder, 'fullchain.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key]
  const names = [host, ...otherHosts].map((name) => `DNS:${name}`)
  const name = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=${names.join()}`]
  await promisify(execFile)('openssl', ['req', '-x509', '-days', '2', ...kind, ...name, '-out', certificate])
  return { certificate, key }
}
