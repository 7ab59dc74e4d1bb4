// One page in each browser engine that is installed: Chromium, Firefox (WebDriver BiDi) and WebKit (WebDriver).
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { z } from 'zod'
import { chromiumPaths, openBrowser } from './browser.ts'
import { freePort } from './free-port.ts'

export type EnginePage = {
  /** What the browser has written to its console. WebKit's driver cannot read it. */
  logged: string[]
  goto(url: string): Promise<void>
  resize(viewport: Viewport): Promise<void>
  /** Runs a function in the page. It cannot use variables from outside of it. */
  run(script: () => unknown): Promise<unknown>
  /** Returns a PNG of the visible part of the page. */
  screenshot(): Promise<Buffer>
  close(): Promise<void>
}

type Viewport = { width: number; height: number }
type Engine = { name: string; isInstalled: boolean; open(viewport: Viewport): Promise<EnginePage> }

const firefoxPath = '/usr/bin/firefox-esr'
const webKitDriverPath = '/usr/bin/WebKitWebDriver'
const xvfbPath = '/usr/bin/Xvfb'
const [miniBrowserPath] = globSync('/usr/lib/*/webkit2gtk-*/MiniBrowser')

const engines: Engine[] = [
  { name: 'Chromium', isInstalled: chromiumPaths.some((path) => existsSync(path)), open: openChromium },
  { name: 'Firefox', isInstalled: existsSync(firefoxPath), open: openFirefox },
  {
    name: 'WebKit',
    isInstalled: existsSync(webKitDriverPath) && existsSync(xvfbPath) && miniBrowserPath !== undefined,
    open: openWebKit,
  },
]

export const installedEngines = engines.filter(({ isInstalled }) => isInstalled)

async function openChromium(viewport: Viewport): Promise<EnginePage> {
  const browser = await openBrowser()
  const page = await browser.newPage({ viewport })
  const logged: string[] = []
  page.on('console', (message) => logged.push(message.text()))
  return {
    logged,
    goto: async (url) => void (await page.goto(url)),
    resize: (viewport) => page.setViewportSize(viewport),
    run: (script) => page.evaluate(script),
    screenshot: () => page.screenshot(),
    close: () => browser.close(),
  }
}

/** Opens Firefox with WebDriver BiDi, because Debian has no geckodriver. https://w3c.github.io/webdriver-bidi/ */
async function openFirefox(viewport: Viewport): Promise<EnginePage> {
  const profile = await mkdtemp(join(tmpdir(), 'firefox-'))
  const options = ['--headless', '--no-remote', '--remote-debugging-port', '0', '--profile', profile]
  const firefox = spawn(firefoxPath, options, { stdio: ['ignore', 'ignore', 'pipe'] })
  const logged: string[] = []
  const address = await printed(firefox.stderr, /WebDriver BiDi listening on (ws:\S+)/)
  const { send, close } = await openBidi(`${address}/session`, (event) => {
    const entry = LogEntry.safeParse(event).data
    if (entry) logged.push(entry.params.text)
  })

  await send('session.new', { capabilities: {} })
  await send('session.subscribe', { events: ['log.entryAdded'] })
  const { contexts } = Tree.parse(await send('browsingContext.getTree', {}))
  const context = contexts[0]?.context
  const resize = async (viewport: Viewport) => void (await send('browsingContext.setViewport', { context, viewport }))
  await resize(viewport)
  return {
    logged,
    goto: async (url) => void (await send('browsingContext.navigate', { context, url, wait: 'complete' })),
    resize,
    async run(script) {
      const expression = `JSON.stringify((${script})())`
      const answer = await send('script.evaluate', { expression, target: { context }, awaitPromise: true })
      return JSON.parse(Evaluated.parse(answer).result.value ?? 'null')
    },
    async screenshot() {
      const { data } = Screenshot.parse(await send('browsingContext.captureScreenshot', { context }))
      return Buffer.from(data, 'base64')
    },
    async close() {
      close()
      await stop(firefox)
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

const Tree = z.object({ contexts: z.array(z.object({ context: z.string() })) })
const Evaluated = z.object({ result: z.object({ value: z.string().optional() }) })
const Screenshot = z.object({ data: z.string() })
const LogEntry = z.object({ method: z.literal('log.entryAdded'), params: z.object({ text: z.string() }) })
const BidiAnswer = z.object({ type: z.literal('success'), result: z.unknown() })

/** Opens a WebSocket for commands. An answer has the id of its command, an event has no id. */
async function openBidi(url: string, onEvent: (event: unknown) => void) {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  const waiting = new Map<number, (answer: unknown) => void>()
  let lastId = 0
  socket.addEventListener('message', ({ data }) => {
    const message: unknown = JSON.parse(String(data))
    const { id } = z.object({ id: z.number().optional() }).parse(message)
    if (id === undefined) onEvent(message)
    else waiting.get(id)?.(message)
  })

  async function send(method: string, params: Record<string, unknown>): Promise<unknown> {
    lastId += 1
    const { promise, resolve } = Promise.withResolvers<unknown>()
    waiting.set(lastId, resolve)
    socket.send(JSON.stringify({ id: lastId, method, params }))
    return BidiAnswer.parse(await promise).result
  }

  return { send, close: () => socket.close() }
}

/** Opens WebKitGTK's minimal browser on a virtual screen. https://www.w3.org/TR/webdriver2/ */
async function openWebKit({ width, height }: Viewport): Promise<EnginePage> {
  const screen = spawn(xvfbPath, ['-displayfd', '1', '-nolisten', 'tcp'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const display = await printed(screen.stdout, /^(\d+)\n/)
  const port = await freePort()
  const env = { ...process.env, DISPLAY: `:${display}`, FONTCONFIG_FILE: undefined }
  const driver = spawn(webKitDriverPath, [`--port=${port}`], { env, stdio: 'ignore' })
  const call = webDriver(`http://127.0.0.1:${port}`)
  await untilReady(() => call('GET', '/status'))

  const options = {
    binary: miniBrowserPath,
    args: ['--automation', '--javascript-can-open-windows-automatically=true'],
  }
  const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': options } }
  const { sessionId } = z.object({ sessionId: z.string() }).parse(await call('POST', '/session', { capabilities }))
  const session = `/session/${sessionId}`
  const run = (script: string) => call('POST', `${session}/execute/sync`, { script, args: [] })

  // The page is opened in a popup, because the toolbar of the first window is wider than a phone.
  const first = Handles.parse(await call('GET', `${session}/window/handles`))
  await run(`open('about:blank', '', 'popup,width=${width},height=${height}')`)
  const popup = await untilReady(async () => {
    const handles = Handles.parse(await call('GET', `${session}/window/handles`))
    return z.string().parse(handles.find((handle) => !first.includes(handle)))
  })
  await call('POST', `${session}/window`, { handle: popup })
  const resize = async (viewport: Viewport) => void (await call('POST', `${session}/window/rect`, viewport))
  await resize({ width, height })
  return {
    logged: [],
    goto: async (url) => void (await call('POST', `${session}/url`, { url })),
    resize,
    run: (script) => run(`return (${script})()`),
    screenshot: async () => Buffer.from(z.string().parse(await call('GET', `${session}/screenshot`)), 'base64'),
    async close() {
      await call('DELETE', session)
      await stop(driver)
      await stop(screen)
    },
  }
}

const Handles = z.array(z.string())

function webDriver(url: string) {
  return async (method: string, path: string, parameters?: Record<string, unknown>): Promise<unknown> => {
    const body = parameters ? { body: JSON.stringify(parameters) } : {}
    const answer = await fetch(url + path, { method, ...body })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 200)}`)
    return z.object({ value: z.unknown() }).parse(JSON.parse(text)).value
  }
}

/** Repeats `attempt` for up to five seconds until it does not throw. */
async function untilReady<Result>(attempt: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + 5000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** Resolves with the first group of the pattern as soon as it is printed. */
function printed(output: Readable, pattern: RegExp): Promise<string> {
  let text = ''
  return new Promise((resolve, reject) => {
    output.on('data', (part: Buffer) => {
      text += part
      const found = pattern.exec(text)?.[1]
      if (found !== undefined) resolve(found)
    })
    output.once('end', () => reject(new Error(`ended without ${pattern}:\n${text}`)))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill()
  await exited
}
