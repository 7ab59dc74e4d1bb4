import type { Config } from '../config.ts'
import type { AddRoute } from '../middleware/routes.ts'
import { cookieName } from '../visitor/cookies.ts'

/** GET /privacy: what is kept of visitors and who is told what, on this site. Needs no session. */
export function privacyPage(route: AddRoute, config: Config): void {
  const { demo, dicebearUrl, privacyUrl, https } = config
  const page = {
    dicebearHost: dicebearUrl === undefined ? undefined : new URL(dicebearUrl).host,
    isDemo: demo,
    privacyUrl,
    /** With https the prefix of the cookies limits them to this host. */
    cookieName: (name: string) => (name.endsWith('-') ? `${https ? '__Host-' : ''}${name}…` : cookieName(config, name)),
  }
  route('/privacy', { GET: 'page' }).get((_req, res) => res.render('privacy', page))
}
