import { CookieAccessInfo } from 'cookiejar'
import type { Response } from 'supertest'
import { expect } from 'vitest'
import { avatarId } from '../../src/avatar/avatars.ts'
import { look, type TestApp, type Visitor } from './open-app.ts'

/** Returns the same browser at another instance, as behind a load balancer. Cookies are the same for all ports. */
export function sameBrowserAt(app: TestApp, visitor: Visitor): Visitor {
  const there = app.visitor()
  there.jar = visitor.jar
  return there
}

/** Returns a copy of the browser that does not receive the cookies of later answers. */
export function copyOf(app: TestApp, visitor: Visitor): Visitor {
  const copy = app.visitor()
  for (const cookie of visitor.jar.getCookies(CookieAccessInfo.All)) copy.jar.setCookie(String(cookie))
  return copy
}

/** The choice that a restyle sends by default. */
export const restyled = { ...look, style: 'bottts', seed: 'restyled' }

/** Posts the form on the avatar's page, which makes another avatar for the same visitor. */
export function restyle(visitor: Visitor, choice: Record<string, string> = restyled) {
  return visitor.post('/show_avatar').type('form').send(choice)
}

/** Expects a redirect to the new avatar: 302 after a callback, 303 after a restyle. */
export function expectLanding(answer: Response, status?: 302 | 303): void {
  expect([answer.status, answer.headers.location]).toEqual([status ?? expect.toBeOneOf([302, 303]), '/show_avatar'])
}

/** Returns the address to which an answer redirects. */
export function locationOf(answer: Response): string {
  return answer.get('Location') ?? ''
}

/** Returns the cookies that an answer sets, each as `name=value; attributes`. */
export function setCookies(answer: Response): string[] {
  return answer.get('Set-Cookie') ?? []
}

/** Returns the only cookie that an answer sets whose name begins so. */
export function setCookie(answer: Response, name: string): string {
  const lines = setCookies(answer).filter((line) => line.startsWith(name))
  const [line] = lines
  if (line === undefined || lines.length > 1) throw new Error(`${lines.length} cookies named ${name}`)
  return line
}

/** Returns the Cookie header of a browser that has received this answer only. */
export function cookiesOf(answer: Response): string {
  return setCookies(answer)
    .map((line) => line.split(';')[0] ?? '')
    .join('; ')
}

/** Returns the name of the session cookie. */
export function sessionCookie({ config }: TestApp): string {
  return config.https ? '__Host-avatar-session' : `avatar-session-${new URL(config.baseUrl).port}`
}

/** Returns the session id in a session cookie, which is signed and not encrypted. */
export function sessionIdIn(cookie: string): string {
  const id = /session[\w-]*=s%3A([^.;]+)\./.exec(cookie)?.[1]
  if (id === undefined) throw new Error('no session cookie')
  return decodeURIComponent(id)
}

/** Returns whether the visitor's history has an avatar of this choice. */
export async function hasAvatar(visitor: Visitor, choice: Partial<typeof look> = {}): Promise<boolean> {
  const { backgroundColor, ...rest } = { ...look, ...choice }
  const id = avatarId({ ...rest, backgroundColor: backgroundColor.replace('#', ''), animated: false })
  const picture = await visitor.get(`/avatars/${id}.svg`)
  return picture.status === 200
}

/** Returns whether a page offers to continue with the choice that was sent. */
export function keepsLook(html: string, choice: Record<string, string> = look): boolean {
  const values = { ...choice, backgroundColor: (choice.backgroundColor ?? '').replace('#', '') }
  return Object.entries(values).every(([name, value]) => new RegExp(`name="${name}"\\s+value="${value}"`).test(html))
}

/** Returns an answer, and how long it took. */
export async function timed<Answer>(asking: PromiseLike<Answer>): Promise<{ answer: Answer; ms: number }> {
  const since = performance.now()
  const answer = await asking
  return { answer, ms: performance.now() - since }
}

/** Sends a request now. supertest sends it only when `then` is called. */
export function send(asking: PromiseLike<Response>): Promise<Response> {
  return Promise.resolve(asking)
}
