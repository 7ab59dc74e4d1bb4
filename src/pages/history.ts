import { NotFound } from '../errors.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { type Visitor, withKept, withoutAvatar, withRestored } from '../visitor/visitor.ts'

/** POST /avatars/{id}/forget, restore, keep and unkeep change the visitor's history and redirect to /show_avatar. */
export function historyActions(route: AddRoute, { sessions }: Parts): void {
  const session = sessions.load({ rolling: false })

  addAction('forget', withoutAvatar)
  // An avatar that is in the history is accepted, too: if the button was pressed twice, it has been restored already.
  addAction('restore', withRestored, (visitor, id) => isInHistory(visitor, id) || visitor.removed?.avatar.id === id)
  addAction('keep', (visitor, id) => withKept(visitor, id, true))
  addAction('unkeep', (visitor, id) => withKept(visitor, id, false))

  function addAction(name: string, alter: Alter, isTheirs = isInHistory): void {
    route(`/avatars/:id/${name}`, { POST: 'page' }).post(session, async (req, res) => {
      const { removed } = req.visitor
      // The page / does not read the session and so does not know the id. Its form sends "removed" instead.
      const id = req.params.id === 'removed' ? removed?.avatar.id : req.params.id
      if (typeof id !== 'string' || !isTheirs(req.visitor, id)) throw new NotFound('not an avatar of this visitor')
      await sessions.change(req, (visitor) => alter(visitor, id))
      res.redirect(303, '/show_avatar')
    })
  }
}

type Alter = (visitor: Visitor, id: string) => Visitor

const isInHistory = ({ avatars }: Visitor, id: string) => avatars.some((avatar) => avatar.id === id)
