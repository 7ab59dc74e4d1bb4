import { setTimeout as wait } from 'node:timers/promises'
import { type RequestHandler, Router } from 'express'
import { onlyBy } from '../middleware/methods.ts'
import type { Parts } from '../parts.ts'
import { accountSwitch } from '../visitor/cookies.ts'
import { end, visitorOf } from '../visitor/session.ts'
import { openTokens } from '../visitor/tokens.ts'

/** How long a visitor waits for Discord at the door. */
const revokeTimeoutMs = 1500

/** POST /sign_out: the session ends here first, then at Discord. */
export function signOut({ config, log, sealer, discord }: Parts, session: RequestHandler): Router {
  const router = Router({ caseSensitive: true })
  router.post('/sign_out', session, async (req, res) => {
    const { tokens: kept } = visitorOf(req)
    await end(req, res, config)
    accountSwitch(config).ask(res)
    const tokens = openTokens(sealer, kept)
    if (tokens) await Promise.race([revoke(tokens.refreshToken ?? tokens.accessToken), wait(revokeTimeoutMs)])
    res.redirect(303, '/')
  })
  router.all('/sign_out', onlyBy('POST'))

  // Signed out even if Discord does not hear of it: the session with its tokens is gone.
  function revoke(token: string): Promise<void> {
    return discord.revoke(token).catch((err) => log.warn({ err }, 'tokens not revoked'))
  }

  return router
}
