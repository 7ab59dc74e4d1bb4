import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { agent, type Test } from 'supertest'
import { makeCertificate } from './certificate.ts'
import { freePort } from './free-port.ts'

/** The site's host name in deploy/nginx.conf. */
export const siteName = 'avatars.example'
export const siteUrl = `https://${siteName}`

/** Paths that look like the app's and do not exist (404). The app and the proxies must agree about them. */
export const otherPaths = [
  ...[
    '/readyz/',
    '/READYZ',
    '/readyz/x',
    '//readyz',
    '/%72eadyz',
    '/readyz%2f',
    '/./readyz',
    '/healthz/',
    '/'.repeat(2),
  ],
  ...['/get_avatar/', '//get_avatar', '/Get_avatar'].map((path) => `${path}?code=c0de&state=st4te`),
]

export const siteFile = join(import.meta.dirname, '../../deploy/nginx.conf')

/** Starts a real nginx on loopback with deploy/nginx.conf. Only ports, folders and the certificate are different. */
export async function openNginx(instancePorts: [number, number]) {
  const folder = await mkdtemp(join(tmpdir(), 'nginx-'))
  const [httpPort, httpsPort] = [await freePort(), await freePort()]
  await makeCertificate(folder, siteName)
  const http2 = await http2Directives()
  const ca = await readFile(join(folder, 'fullchain.pem'))
  await writeFile(
    join(folder, 'site.conf'),
    replaced(await readFile(siteFile, 'utf8'), [
      ['127.0.0.1:3001', `127.0.0.1:${instancePorts[0]}`],
      ['127.0.0.1:3002', `127.0.0.1:${instancePorts[1]}`],
      ['    listen 80;', `    listen 127.0.0.1:${httpPort};`],
      ['    listen 443 ssl;', `    listen 127.0.0.1:${httpsPort} ssl${http2.ofListen};`],
      ['    listen [::]:80;\n', ''],
      ['    listen [::]:443 ssl;\n', ''],
      [`/etc/letsencrypt/live/${siteName}`, folder],
      ['/var/log/nginx', folder],
      ['/var/www/html', join(folder, 'www')],
    ]),
  )
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`)
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
    events { worker_connections 1024; }
    http { ${http2.ofHttp} gzip on; access_log ${folder}/access.log; ${temporary.join(' ')} include site.conf; }`,
  )
  const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  nginx.stderr.on('data', (part: Buffer) => {
    stderr += part
  })
  const exited = once(nginx, 'exit')
  while (!(await acceptsConnections(httpsPort))) if (nginx.exitCode !== null) throw new Error(`no nginx:\n${stderr}`)

  return {
    httpUrl: `http://127.0.0.1:${httpPort}`,
    httpsPort,
    ca,
    folder,

    /** Returns a browser without scripts at this client address. It keeps cookies and follows no redirects. */
    visitor(address = '127.0.0.1') {
      const connections = new Agent({ ca, keepAlive: true, localAddress: address })
      return agent(`https://127.0.0.1:${httpsPort}`)
        .redirects(0)
        .set('Host', siteName)
        .use((request: Test) => request.agent(connections))
    },

    /** Returns the text of one of nginx's logs. */
    log: (name: 'avatars.log' | 'access.log' | 'error.log') => readFile(join(folder, name), 'utf8'),

    async close() {
      nginx.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
export type Nginx = Awaited<ReturnType<typeof openNginx>>

/**
 * Enables HTTP/2 as deploy/README.md does: in `listen` for Debian 12's nginx 1.22, by a directive for Debian 13's 1.26.
 */
async function http2Directives() {
  const { stderr } = await promisify(execFile)('nginx', ['-v'])
  const [, minor = ''] = /nginx\/1\.(\d+)\./.exec(stderr) ?? []
  return Number(minor) > 24 ? { ofListen: '', ofHttp: 'http2 on;' } : { ofListen: ' http2', ofHttp: '' }
}

/** Returns the text with all replacements. Throws if a text to replace is missing. */
export function replaced(text: string, pairs: [from: string, to: string][]): string {
  return pairs.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`"${from}" is missing`)
    return changed.replaceAll(from, to)
  }, text)
}

export async function acceptsConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const accepted = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  })
  socket.destroy()
  return accepted
}
