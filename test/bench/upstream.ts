// A minimal stand-in for Discord's and DiceBear's APIs, in a process of its own. Settings: PORT, and LATENCY_MS, the
// delay of each response (PUT /latency/{ms} changes it).
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { Avatar, Style } from '@dicebear/core'
import definition from '@dicebear/styles/adventurer.json' with { type: 'json' }

const svg = new Avatar(new Style(definition), { seed: 'fern', backgroundColor: ['ffd29d'] }).toString()
let latencyMs = Number(process.env.LATENCY_MS ?? 0)
let visitors = 0

function answer({ method, url = '', headers }: IncomingMessage): { type: string; body: string } {
  const json = (value: unknown) => ({ type: 'application/json', body: JSON.stringify(value) })
  if (method === 'PUT') latencyMs = Number(url.split('/').at(-1))
  if (url === '/discord/oauth2/token') {
    visitors += 1
    return json({
      access_token: `visitor-${visitors}`,
      refresh_token: randomUUID(),
      token_type: 'Bearer',
      expires_in: 604_800,
      scope: 'identify',
    })
  }
  if (url === '/discord/users/@me') {
    const number = headers.authorization?.split('-').at(-1) ?? '0'
    return json({ id: `10${number}`, username: `visitor${number}`, discriminator: '0', avatar: null })
  }
  return url.startsWith('/dicebear/') ? { type: 'image/svg+xml', body: svg } : json({})
}

createServer((req, res) => {
  const { type, body } = answer(req)
  const send = () => res.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
  req.resume().on('end', () => (latencyMs === 0 ? send() : setTimeout(send, latencyMs)))
}).listen(Number(process.env.PORT), '127.0.0.1')
