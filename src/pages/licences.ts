import { Router } from 'express'
import { isSeeThrough } from '../avatar/choice.ts'
import { onlyBy } from '../middleware/methods.ts'

/** GET /licences: who drew the styles, and on what terms. */
export function licencesPage(): Router {
  const router = Router({ caseSensitive: true })
  router.get('/licences', (_req, res) => {
    res.render('licences', { isSeeThrough })
  })
  router.all('/licences', onlyBy('GET', 'HEAD'))
  return router
}
