import { request } from 'node:http'

export type Asked = {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  body: Buffer
}

export type AskOptions = { method?: string; headers?: Record<string, string | string[]>; body?: string | Buffer }

/** Sends one request, with any method and headers and the path unchanged. Keeps no cookies and follows no redirect. */
export function ask(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body }: AskOptions = {},
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }
    const sent = request(
      { hostname, port, path, method, headers: { ...length, ...headers }, agent: false },
      (answer) => {
        const parts: Buffer[] = []
        answer.on('data', (part: Buffer) => parts.push(part))
        answer.on('error', reject)
        answer.on('end', () => {
          const whole = Buffer.concat(parts)
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            text: whole.toString('utf8'),
            body: whole,
          })
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Options for posting a form with these fields in this order; fields may be repeated. */
export function formOf(fields: Record<string, string> | [string, string][]): AskOptions {
  return {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  }
}
