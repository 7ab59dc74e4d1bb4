import { Router } from 'express'
import type { Config } from '../config.ts'
import { onlyBy } from '../middleware/methods.ts'
import { words } from '../words.ts'
import { type Entered, goodPart, type Problem, readForm } from './form.ts'
import { lookUrl } from './look.ts'

/** What the form opens with: a good first picture, without a click. */
const firstChoice: Entered = {
  seed: '',
  style: 'adventurer',
  backgroundColor: 'ffd29d',
  mood: 'happy',
  animated: false,
}

/** Why the visitor was sent here, as named in the address. */
const notices = new Map<unknown, string>([
  ['declined', words.notices.declined],
  ['sign-in', words.notices.signInAgain],
])

/** GET /: the form, filled from the query where its values are good. Needs no session and no Redis. */
export function homePage(config: Config): Router {
  const router = Router({ caseSensitive: true })
  router.get('/', (req, res) => {
    const { choice, problems, linked } = fromQuery(req.query)
    const said = [notices.get(req.query.notice), problems.length > 0 ? words.notices.badLink : undefined]
    res.render('home', {
      choice,
      problems: [],
      notices: said.filter((notice) => notice !== undefined),
      canonical: `${config.baseUrl}${linked ? lookUrl(choice) : '/'}`,
      ogImage: `${config.baseUrl}/og.png${lookUrl(choice).slice(1)}`,
      ...(linked ? { lookLink: lookUrl(choice) } : {}),
    })
  })
  router.all('/', onlyBy('GET', 'HEAD'))
  return router
}

/** `linked`: the address names a look, as a shared link does. */
function fromQuery(query: Record<string, unknown>): { choice: Entered; problems: Problem[]; linked: boolean } {
  const named = Object.keys(firstChoice).filter((field) => query[field] !== undefined)
  if (named.length === 0) return { choice: firstChoice, problems: [], linked: false }
  const read = readForm({ style: firstChoice.style, ...query })
  const good = goodPart(read)
  return { choice: { ...good, style: good.style || firstChoice.style }, problems: read.problems, linked: true }
}
