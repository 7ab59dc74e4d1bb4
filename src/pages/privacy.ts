import type { Config } from '../config.ts'
import type { AddRoute } from '../middleware/routes.ts'
import { cookieName, statePrefix } from '../visitor/cookies.ts'

/** GET /privacy: which data about visitors is kept, and which data others get. Needs no session. */
export function privacyPage(route: AddRoute, config: Config): void {
  const { demo, dicebearUrl, privacyUrl } = config
  const page = {
    dicebearHost: dicebearUrl === undefined ? undefined : new URL(dicebearUrl).host,
    isDemo: demo,
    privacyUrl,
    /** The full name of a cookie. If `name` is only the beginning of a name, "…" is appended. */
    cookieName: (name: string) => (name.endsWith('-') ? `${statePrefix(config)}${name}…` : cookieName(config, name)),
  }
  route('/privacy', { GET: 'page' }).get((_req, res) => res.render('privacy', page))
}
