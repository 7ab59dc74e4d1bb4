import { isSeeThrough } from '../avatar/choice.ts'
import type { AddRoute } from '../middleware/routes.ts'

/** GET /licences: who drew the styles, and on what terms. */
export function licencesPage(route: AddRoute): void {
  route('/licences', { GET: 'page' }).get((_req, res) => {
    res.render('licences', { isSeeThrough })
  })
}
