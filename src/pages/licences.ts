import { palette, styles, stylesByTitle } from '../avatar/catalogue.ts'
import { isSeeThrough } from '../avatar/choice.ts'
import type { AddRoute } from '../middleware/routes.ts'
import { exampleSeed, pictureUrl } from './look.ts'

/** GET /licences: who drew the styles, and under which licences. */
export function licencesPage(route: AddRoute): void {
  const page = {
    count: styles.length,
    attributionCount: styles.filter(({ attribution }) => attribution).length,
    styles: stylesByTitle.map((style) => ({ ...style, picture: exampleOf(style.name) })),
  }
  route('/licences', { GET: 'page' }).get((_req, res) => res.render('licences', page))
}

/** The address of an example of the style, with a background colour if the example had no background otherwise. */
function exampleOf(style: string): string {
  const backgroundColor = isSeeThrough({ style, backgroundColor: '' }) ? (palette[0]?.value ?? '') : ''
  return pictureUrl({ seed: exampleSeed, style, backgroundColor })
}
