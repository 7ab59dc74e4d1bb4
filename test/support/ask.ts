import { request } from 'node:http'

export type Asked = {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  body: Buffer
}

export type AskOptions = { method?: string; headers?: Record<string, string | string[]>; body?: string | Buffer }

/** One request as it is told: with whatever method and headers, a path as it stands, no cookies kept, no redirect followed. */
export function ask(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body }: AskOptions = {},
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }
    const asking = request(
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
    asking.on('error', reject)
    asking.end(body)
  })
}

/** A form's body, fields in this order, repeated ones too. */
export function formOf(fields: Record<string, string> | [string, string][]): AskOptions {
  return {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  }
}
