import type { Response } from 'supertest'
import { expect } from 'vitest'
import { avatarId } from '../../src/avatar/avatars.ts'
import { look, type TestApp, type Visitor } from './open-app.ts'

/** The same browser at another instance, as behind a load balancer: one jar, and a cookie knows no port. */
export function sameBrowserAt(app: TestApp, visitor: Visitor): Visitor {
  const there = app.visitor()
  there.jar = visitor.jar
  return there
}

/** The choice of a restyle, unless a test says otherwise. */
export const restyled = { ...look, style: 'bottts', seed: 'restyled' }

/** The form on the avatar's page: another avatar for the same visitor. */
export function restyle(visitor: Visitor, choice: Record<string, string> = restyled) {
  return visitor.post('/show_avatar').type('form').send(choice)
}

/** Expects a redirect to the new avatar: 302 after a callback, 303 after a restyle. */
export function expectLanding(answer: Response, status?: 302 | 303): void {
  expect([answer.status, answer.headers.location]).toEqual([status ?? expect.toBeOneOf([302, 303]), '/show_avatar'])
}

/** Where an answer sends the browser. */
export function locationOf(answer: Response): string {
  return answer.get('Location') ?? ''
}

/** What the answer sets, each as `name=value; attributes`. */
export function setCookies(answer: Response): string[] {
  return answer.get('Set-Cookie') ?? []
}

/** The one cookie of this name that an answer sets; a name may be only begun. */
export function setCookie(answer: Response, name: string): string {
  const lines = setCookies(answer).filter((line) => line.startsWith(name))
  const [line] = lines
  if (line === undefined || lines.length > 1) throw new Error(`${lines.length} cookies named ${name}`)
  return line
}

/** What a browser sends back of what the answer sets: for a jar with nothing else in it. */
export function cookiesOf(answer: Response): string {
  return setCookies(answer)
    .map((line) => line.split(';')[0] ?? '')
    .join('; ')
}

/** The name of the session cookie. */
export function sessionCookie({ config }: TestApp): string {
  return config.https ? '__Host-avatar-session' : `avatar-session-${new URL(config.baseUrl).port}`
}

/** The session id in a session cookie; it is signed, not secret to the visitor. */
export function sessionIdIn(cookie: string): string {
  const id = /session[\w-]*=s%3A([^.;]+)\./.exec(cookie)?.[1]
  if (id === undefined) throw new Error('no session cookie')
  return decodeURIComponent(id)
}

/** Whether this look is among the visitor's avatars. */
export async function hasAvatar(visitor: Visitor, choice: Partial<typeof look> = {}): Promise<boolean> {
  const { backgroundColor, ...rest } = { ...look, ...choice }
  const id = avatarId({ ...rest, backgroundColor: backgroundColor.replace('#', ''), animated: false })
  const picture = await visitor.get(`/avatars/${id}.svg`)
  return picture.status === 200
}

/** Whether a page offers to go on with the look that was sent. */
export function keepsLook(html: string, choice: Record<string, string> = look): boolean {
  const values = { ...choice, backgroundColor: (choice.backgroundColor ?? '').replace('#', '') }
  return Object.entries(values).every(([name, value]) => new RegExp(`name="${name}"\\s+value="${value}"`).test(html))
}

/** An answer, and how long it was waited for. */
export async function timed<Answer>(asking: PromiseLike<Answer>): Promise<{ answer: Answer; ms: number }> {
  const since = performance.now()
  const answer = await asking
  return { answer, ms: performance.now() - since }
}

/** Sends a request now; supertest itself waits for `then`. */
export function send(asking: PromiseLike<Response>): Promise<Response> {
  return Promise.resolve(asking)
}
