import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { agent } from 'supertest'
import { createApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import type { Account } from '../../src/demo/accounts.ts'
import { logSerializers } from '../../src/log.ts'
import { answerBadRequest } from '../../src/pages/bad-request.ts'
import { openParts } from '../../src/parts.ts'
import { type DiceBearDouble, type DiscordDouble, openDiceBear, openDiscord } from './doubles.ts'

export const clientId = '1234567890'
export const clientSecret = 'a client secret of Discord’s own making'
export const sessionSecret = 'a session secret of more than thirty-two characters'

export type OpenOptions = {
  /** Settings by their names in the environment. They take precedence over those that all tests have. */
  settings?: Record<string, string>
  redisUrl?: string
  /** The accounts at Discord, instead of the demo's. */
  accounts?: Account[]
  /** For a second instance of the same site, the first one's address and doubles. */
  beside?: { url: string; discord: DiscordDouble; dicebear: DiceBearDouble }
}

/**
 * Opens the real app on loopback, as main.ts does. Only Discord and DiceBear are replaced, at the network. Sessions are
 * in Redis if its address is given, otherwise in memory.
 */
export async function openApp({ settings = {}, redisUrl, accounts, beside }: OpenOptions = {}) {
  let listener: RequestListener = (_req, res) => res.destroy()
  const server = createServer((req, res) => listener(req, res))
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  const own = `http://127.0.0.1:${port}`
  const url = beside?.url ?? own
  const redirectUri = `${url}/get_avatar`
  const people = accounts === undefined ? {} : { accounts }
  const discord = beside?.discord ?? (await openDiscord({ clientId, clientSecret, redirectUri, ...people }))
  const dicebear = beside?.dicebear ?? (await openDiceBear())
  const folder = await mkdtemp(join(tmpdir(), 'avatars-'))

  const config = readConfig({
    BASE_URL: url,
    PORT: String(port),
    SESSION_SECRET: sessionSecret,
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    DISCORD_API_URL: discord.apiUrl,
    DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
    DICEBEAR_URL: dicebear.apiUrl,
    CACHE_DIR: folder,
    UPSTREAM_TIMEOUT_MS: '1000',
    RATE_LIMIT: 'off',
    LOG_LEVEL: 'debug',
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
    ...settings,
  })
  const logged: string[] = []
  const log = pino(
    { level: config.logLevel, serializers: logSerializers },
    { write: (line: string) => logged.push(line) },
  )
  const parts = await openParts(config, log)
  const app = createApp(parts)
  listener = app
  server.on('clientError', answerBadRequest(parts))

  return {
    /** The address where this instance listens. */
    url: own,
    discord,
    dicebear,
    /** The cache folder. */
    folder,
    config,
    parts,
    /** The lines of the log so far. */
    logged,
    /** A browser without script: it keeps cookies and follows no redirect by itself. Pages are not compressed for it. */
    visitor: () => agent(own).redirects(0).set('Accept-Encoding', 'identity'),
    async close() {
      server.close()
      server.closeAllConnections()
      await parts.close()
      if (!beside) await Promise.all([discord.close(), dicebear.close()])
      // A drawing whose request has ended may still write its file meanwhile.
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
export type TestApp = Awaited<ReturnType<typeof openApp>>
export type Visitor = ReturnType<TestApp['visitor']>

/** The choice that is sent with the form by default. */
export const look = { seed: 'fern', style: 'adventurer', backgroundColor: '#ffd29d', mood: 'happy' }

/** Posts the form. Returns Discord's authorize address, to which it redirects. */
export async function leave(visitor: Visitor, choice: Record<string, string> = look): Promise<string> {
  const leaving = await visitor.post('/get_avatar').type('form').send(choice)
  if (leaving.status !== 302) throw new Error(`POST /get_avatar answered ${leaving.status}`)
  return leaving.headers.location ?? ''
}

/** Opens the callback to which Discord redirects. */
export function comeBack(visitor: Visitor, callbackUrl: string) {
  const { pathname, search } = new URL(callbackUrl)
  return visitor.get(`${pathname}${search}`)
}

/** Signs in. Returns the answer to the callback. */
export async function signIn(
  app: TestApp,
  visitor: Visitor,
  choice: Record<string, string> = look,
  accountId?: string,
) {
  return comeBack(visitor, app.discord.codeFor(await leave(visitor, choice), accountId))
}

/** Returns the id of the avatar that the page shows. */
export function shownAvatar(html: string): string {
  return (
    /<img class="[^"]*portrait[^>]*src="\/avatars\/([0-9a-f]{64})\.svg"/.exec(html)?.[1] ?? 'no avatar on this page'
  )
}
