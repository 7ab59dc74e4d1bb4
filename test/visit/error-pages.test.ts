// What each error page says, and how it keeps the look.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  DiscordCircuitOpen,
  DiscordRateLimited,
  DiscordRefusedClient,
  DiscordTimeout,
  DiscordUnavailable,
  type Failure,
  GrantRefused,
  LockLost,
  NotSignedIn,
  Overloaded,
  PicturesUnavailable,
  RateLimited,
  SignInFailed,
  StoreUnavailable,
  TooManySignIns,
  UnknownState,
} from '../../src/errors.ts'
import { words } from '../../src/pages/words.ts'
import { type AskOptions, ask, formOf } from '../support/ask.ts'
import { look, openApp, type TestApp } from '../support/open-app.ts'

let app: TestApp
let start: TestApp['parts']['states']['start']
beforeAll(async () => {
  app = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: '1500' } })
  start = app.parts.states.start
})
afterEach(() => {
  app.parts.states.start = start
})
afterAll(() => app.close())

/** Posts the form while the sign-in fails with this error. Returns the answer, its page as text, and its log line. */
async function failed(error: Failure, choice: Record<string, string> = look) {
  app.parts.states.start = () => Promise.reject(error)
  const answer = await app.visitor().post('/get_avatar').type('form').send(choice)
  const number = /<bdi>(\d{3}-[0-9a-f]{8})<\/bdi>/.exec(answer.text)?.[1] ?? 'no number on the page'
  const line: unknown = JSON.parse(app.logged.findLast((one) => one.includes(number.slice(4))) ?? '{}')
  return { answer, line }
}

const { errors } = words
const texts = ({ title, advice }: { title: string; advice: string }) => ({ title, advice })
const kinds: [Failure, number, { title: string; advice: string }, string?][] = [
  [new UnknownState('odd'), 400, texts(errors.unknownState)],
  [new NotSignedIn('odd'), 400, texts(errors.unknownState)],
  [new SignInFailed('odd'), 400, errors.signInFailed],
  [new GrantRefused('odd'), 400, errors.grantRefused],
  [new RateLimited('odd', 91), 429, errors.rateLimited(91), '91'],
  [new DiscordRefusedClient('odd'), 502, errors.discordRefusedClient],
  [new DiscordUnavailable('odd'), 502, errors.discordUnavailable],
  [new TooManySignIns('odd', 1), 503, errors.tooManySignIns(1), '1'],
  [new DiscordRateLimited('odd', 90), 503, errors.discordRateLimited(90), '90'],
  [new Overloaded('odd'), 503, errors.overloaded(2), '2'],
  [new StoreUnavailable('odd'), 503, errors.storeUnavailable(5), '5'],
  [new LockLost('odd'), 503, errors.storeUnavailable(5), '5'],
  [new PicturesUnavailable('odd'), 503, errors.picturesUnavailable, '60'],
  [new DiscordTimeout('odd'), 504, errors.discordTimeout(2)],
  [new DiscordCircuitOpen('odd'), 504, errors.discordCircuitOpen],
]

test.each(kinds.map(([error, ...others]) => [error.constructor.name, error, ...others] as const))(
  '%s has a status, a page and a time to wait of its own, and only faults of this site are errors in the log',
  async (name, error, status, { title, advice }, retryAfter) => {
    const { answer, line } = await failed(error)
    expect([answer.status, answer.headers['retry-after']]).toEqual([status, retryAfter])
    expect(answer.text).toContain(`<h1>${title}</h1>\n<p class="lead">${advice}</p>`)
    expect(answer.text.includes(` data-wait="${retryAfter}"`)).toBe(retryAfter !== undefined)
    const isOurs = name === 'DiscordRefusedClient' || name === 'PicturesUnavailable'
    expect([name, Object(line).level >= 50]).toEqual([name, isOurs])
    // An error of a known kind needs no stack in the log.
    expect(line).toMatchObject({ err: { type: name, message: 'odd' } })
    expect(Object(line).err).not.toHaveProperty('stack')
    const isLost = name === 'UnknownState' || name === 'NotSignedIn'
    expect(/<a [^>]*href="\/show_avatar">See your looks<\/a>/.test(answer.text)).toBe(isLost)
  },
)

test.each<[number, string, AskOptions, { title: string; advice: string }]>([
  [400, '/preview.svg?style=nope', {}, errors.invalidValues],
  [400, '/get_avatar?code=x', {}, errors.invalidValues],
  [403, '/get_avatar', { method: 'POST', headers: { Origin: 'https://evil.example' } }, errors.crossSiteRequest],
  [404, '/nope', {}, errors.notFound],
  [405, '/get_avatar', { method: 'PUT' }, errors.methodNotAllowed],
  [413, '/get_avatar', { ...formOf([]), body: 'x'.repeat(16 * 1024 + 1) }, errors.tooLarge],
  [415, '/get_avatar', { method: 'POST', body: '{}' }, errors.unsupportedMediaType],
])('the page for %i says what is wrong with the request: %s', async (status, path, options, { title, advice }) => {
  const answer = await ask(app.url, path, options)
  expect([answer.status, answer.headers['retry-after']]).toEqual([status, undefined])
  expect(answer.text).toContain(`<h1>${title}</h1>\n<p class="lead">${advice}</p>`)
  const problem = await ask(app.url, path, { ...options, headers: { ...options.headers, Accept: 'application/json' } })
  expect(JSON.parse(problem.text)).toMatchObject({ type: 'about:blank', status, title, detail: advice })
})

test('a time to wait is in seconds up to 90 seconds, then in minutes', () => {
  const { advice: inOne } = errors.tooManySignIns(1)
  expect(inOne).toContain('Try again in 1 second;')
  const inTime = [2, 90, 91, 120, 121, 600].map(
    (count) => /in (\d+ \w+)/.exec(errors.discordRateLimited(count).advice)?.[1],
  )
  expect(inTime).toEqual(['2 seconds', '90 seconds', '2 minutes', '2 minutes', '3 minutes', '10 minutes'])
  const heard = [1, 10, 11].map((count) => /for (\w+ \w+)\./.exec(errors.discordTimeout(count).advice)?.[1])
  expect(heard).toEqual(['one second', 'ten seconds', '11 seconds'])
})

describe('the look that an error page keeps', () => {
  const isUnavailable = new DiscordUnavailable('odd')

  test.each<[Record<string, string>, string]>([
    [look, 'Apricot'],
    [{ ...look, backgroundColor: '' }, 'See-through'],
    [{ ...look, style: 'thumbs', mood: '', backgroundColor: 'own' }, 'The style’s own'],
    [{ ...look, backgroundColor: '#123456' }, '#123456'],
    [
      { ...look, backgroundColorFill: 'linear', backgroundColor2: '123456', backgroundColorAngle: '45' },
      'Apricot and #123456',
    ],
  ])('%j has its background in words: %s', async (choice, background) => {
    const { answer } = await failed(isUnavailable, choice)
    expect(/<dt>Background<\/dt><dd>([^<]*)/.exec(answer.text)?.[1]).toBe(background)
  })

  test('has its mood and seed in words, a still picture, and a link to the form with all of it', async () => {
    const { answer } = await failed(isUnavailable, { style: 'thumbs', seed: '', animated: 'on' })
    expect(answer.text).toContain('<dt>Mood</dt><dd>Any</dd>')
    expect(answer.text).toContain('<dt>Seed</dt><dd>your username</dd>')
    expect(answer.text).toContain('src="/preview.svg?seed=juniper&amp;style=thumbs"')
    expect(answer.text).toContain('href="/?style=thumbs&amp;backgroundColor=transparent&amp;animated=on"')
    expect(answer.text).toContain('<input type="hidden" name="animated" value="on">')
    // Without a time to wait the button works at once.
    expect(answer.text).not.toContain('data-wait')
  })
})
