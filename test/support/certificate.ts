import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Writes a self-signed certificate and its key, named as certbot names them. Returns their paths. */
export async function makeCertificate(folder: string, host: string): Promise<{ certificate: string; key: string }> {
  const [key, certificate] = [join(folder, 'privkey.pem'), join(folder, 'fullchain.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key]
  const name = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`]
  await promisify(execFile)('openssl', ['req', '-x509', '-days', '2', ...kind, ...name, '-out', certificate])
  return { certificate, key }
}
