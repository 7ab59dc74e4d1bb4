import { createServer, type IncomingMessage } from 'node:http'

/** Headers with which a client could claim to be another one. */
export const forgedHeaders = {
  'X-Forwarded-For': '203.0.113.9',
  'X-Forwarded-Proto': 'ftp',
  'X-Forwarded-Host': 'evil.example',
  Forwarded: 'for=203.0.113.9;host=evil.example',
}

/** Opens a server in place of an instance of the app. It answers 200, and keeps all requests but health checks. */
export async function openInstanceDouble() {
  const requests: IncomingMessage[] = []
  const server = createServer((req, res) => {
    if (!req.url?.startsWith('/readyz')) requests.push(req)
    res.end('ok')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    requests,
    close(): void {
      server.close()
      server.closeAllConnections()
    },
  }
}
