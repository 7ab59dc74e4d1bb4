import type { Request, Response } from 'express'
import { avatarId } from '../avatar/avatars.ts'
import { clientOf } from '../middleware/rate-limit.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { createPictureCache } from '../pictures/picture-cache.ts'
import { createQueue } from '../pictures/queue.ts'
import { choiceIn, etagOf, mebibyte, previewCaching, sendPicture, sizeIn } from './avatar-files.ts'
import { exampleSeed, nameOfLook } from './look.ts'
import { words } from './words.ts'

/** A look is cached for a day only, because sites that embed the picture cannot ask for a newer one. */
const lookCaching = 'public, max-age=86400'

/**
 * GET /og.png: the picture of a link preview. GET /look.png: the look itself, not animated, for webhooks, bots and
 * READMEs. The embedded library draws both, and other sites may show them.
 */
export function lookPictures(route: AddRoute, { metrics, renderers, capacity }: Parts): void {
  const maxBytes = capacity.pictureCacheMb * mebibyte
  const pictures = createPictureCache({ maxBytes, onLookup: (found) => metrics?.onCache('card', found) })
  const queue = createQueue({ concurrency: 1, maxWaiting: 60, maxWaitingPerClient: 20 })

  route('/og.png', { GET: 'file' }).get(async (req, res) => {
    const choice = choiceIn(req.query)
    const still = { ...choice, seed: choice.seed || exampleSeed, animated: false }
    // The name is in the key, because looks with different moods have the same id if each part that shows the mood is
    // pinned.
    const name = nameOfLook(choice)
    const render = async () => renderers.card(await renderers.draw(still), name, words.home.title)
    await send(req, res, `card ${avatarId(still)} ${name}`, render, previewCaching)
  })

  route('/look.png', { GET: 'file' }).get(async (req, res) => {
    const still = { ...choiceIn(req.query), animated: false }
    const size = sizeIn(req.query)
    const render = async () => renderers.png(await renderers.draw(still), size, true)
    await send(req, res, `${size} ${avatarId(still)}`, render, lookCaching)
  })

  /** Sends the picture of this key from the cache, or renders it. Other sites may show it. */
  async function send(req: Request, res: Response, key: string, render: () => Promise<Buffer>, caching: string) {
    const renderAndTag = async () => {
      const bytes = await render()
      return { bytes, etag: etagOf(bytes) }
    }
    const picture = await pictures(key, () => queue(renderAndTag, clientOf(req)))
    res.set('Cross-Origin-Resource-Policy', 'cross-origin')
    sendPicture(res, 'image/png', picture, caching)
  }
}
