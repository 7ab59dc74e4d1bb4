import { create as contentDisposition } from 'content-disposition'
import { type Request, type Response, Router } from 'express'
import { type Avatar, avatarId, sha256 } from '../avatar/avatars.ts'
import type { Choice } from '../avatar/choice.ts'
import { drawEmbedded } from '../avatar/embedded.ts'
import { findStyle } from '../avatar/styles.ts'
import { drawInWorker, workerConcurrency } from '../avatar/worker.ts'
import { InvalidValues, NotFound, Overloaded } from '../errors.ts'
import { picturePolicy } from '../middleware/headers.ts'
import { onlyBy } from '../middleware/methods.ts'
import { clientOf } from '../middleware/rate-limit.ts'
import type { Parts } from '../parts.ts'
import { drawnOnce } from '../pictures/drawn-once.ts'
import { drawingLine } from '../pictures/queue.ts'
import { withoutAvatar } from '../visitor/visitor.ts'
import { readForm } from './form.ts'
import { exampleSeed } from './look.ts'
import { words } from './words.ts'

// Whatever needs sharp is imported where it is first needed: it takes 25 MB, and a tenth of a second of each start.

const sizes = ['128', '256', '512', '1024']
const defaultSize = '512'

const avatarCaching = 'private, max-age=31536000, immutable'
/** Long, but a new version of DiceBear's styles should show within days. */
const previewCaching = 'public, max-age=604800'

/** GET /preview.svg: the live preview beside the form. GET /og.png: the picture beside a link. Both always drawn here. */
export function previewFile({ config, metrics }: Parts): Router {
  const router = Router({ caseSensitive: true })
  const previews = drawnOnce<Picture>(16 * 1024 * 1024, (found) => metrics?.onCache('preview', found))
  const cards = drawnOnce<Picture>(16 * 1024 * 1024, (found) => metrics?.onCache('card', found))
  // Few of one client's, so that whoever asks for a page meanwhile hardly waits (test/bench/README.md).
  const previewLine = drawingLine({
    atOnce: workerConcurrency,
    each: config.rateLimit ? 2 : workerConcurrency,
    longest: 1000,
  })
  const cardLine = drawingLine({ atOnce: 1, longest: 20 })

  router.get('/preview.svg', async (req, res) => {
    // By its address, so that a known one is neither read nor checked again.
    const { bytes, etag } = await previews(req.url, () => {
      const { choice } = readForm(req.query)
      if (!choice) throw new InvalidValues('not a look that can be drawn')
      return previewLine(async () => picture(Buffer.from(await drawInWorker(choice))), clientOf(req))
    })
    sendPicture(res, 'image/svg+xml; charset=utf-8', bytes, etag, previewCaching)
  })

  router.get('/og.png', async (req, res) => {
    const { choice } = readForm(req.query)
    if (!choice) throw new InvalidValues('not a look that can be drawn')
    const still = { ...choice, seed: choice.seed || exampleSeed, animated: false }
    const title = words.look(findStyle(choice.style)?.title ?? '', choice.mood)
    const { bytes, etag } = await cards(avatarId(still), () =>
      cardLine(async () => {
        const { drawCard } = await import('../pictures/card.ts')
        return picture(await drawCard(await drawEmbedded(still), title, words.home.title))
      }),
    )
    sendPicture(res, 'image/png', bytes, etag, previewCaching)
  })

  router.all(['/preview.svg', '/og.png'], onlyBy('GET', 'HEAD'))
  return router
}

type Picture = { bytes: Buffer; etag: string; length: number }

/** With an ETag of what is in it: after an upgrade of DiceBear the same address may be another picture. */
function picture(bytes: Buffer): Picture {
  return { bytes, etag: `"${sha256(bytes)}"`, length: bytes.length }
}

/** GET /avatars/{id}.svg, .png and .gif: a visitor's own avatars. POST /avatars/{id}/forget. */
export function avatarFiles(parts: Parts): Router {
  const session = parts.sessions.load({ rolling: false })
  const router = Router({ caseSensitive: true })
  const pngs = drawnOnce<Buffer>(32 * 1024 * 1024, (found) => parts.metrics?.onCache('png', found))
  const pngLine = drawingLine({ atOnce: 2, longest: 200 })
  const gifs = drawnOnce<Buffer>(32 * 1024 * 1024, (found) => parts.metrics?.onCache('gif', found))
  // A GIF is the work of a hundred PNGs.
  const gifLine = drawingLine({ atOnce: 1, longest: 4 })

  router.get('/avatars/:id.svg', session, async (req, res) => {
    const avatar = ownAvatar(req)
    const { svg, checksum } = await parts.avatars.svg(avatar)
    if (req.query.download !== undefined) res.set('Content-Disposition', attachment(req, avatar.choice, 'svg'))
    sendPicture(res, 'image/svg+xml; charset=utf-8', svg, `"${checksum}"`, avatarCaching)
  })

  router.get('/avatars/:id.png', session, async (req, res) => {
    const size = sizes.find((one) => one === (req.query.size ?? defaultSize))
    if (size === undefined) throw new InvalidValues('not a size that we draw')
    const avatar = ownAvatar(req)
    const { svg, checksum } = await parts.avatars.svg(avatar)
    const png = await pngs(`${avatar.id} ${checksum} ${size}`, () =>
      pngLine(() => drawnPng(avatar.choice, svg.toString(), Number(size))),
    )
    if (req.query.download !== undefined) res.set('Content-Disposition', attachment(req, avatar.choice, 'png'))
    sendPicture(res, 'image/png', png, `"${checksum}-${size}"`, avatarCaching)
  })

  router.get('/avatars/:id.gif', session, async (req, res) => {
    const avatar = ownAvatar(req)
    const { svg, checksum } = await parts.avatars.svg(avatar)
    const gif = await gifs(`${avatar.id} ${checksum}`, async () => {
      const { moves } = await import('../pictures/gif.ts')
      if (!(await moves(avatar.choice))) throw new NotFound('an avatar that does not move')
      return gifLine(() => drawnGif(avatar.choice, svg.toString()))
    })
    if (req.query.download !== undefined) res.set('Content-Disposition', attachment(req, avatar.choice, 'gif'))
    sendPicture(res, 'image/gif', gif, `"${checksum}-gif"`, avatarCaching)
  })

  router.post('/avatars/:id/forget', session, async (req, res) => {
    const { id } = ownAvatar(req)
    await parts.sessions.change(req, (visitor) => withoutAvatar(visitor, id))
    res.redirect(303, '/show_avatar')
  })

  router.all(['/avatars/:id.svg', '/avatars/:id.png', '/avatars/:id.gif'], onlyBy('GET', 'HEAD'))
  router.all('/avatars/:id/forget', onlyBy('POST'))
  return router
}

/** The avatar named in the address, if it is one of this visitor's; anyone else's is not there. */
function ownAvatar(req: Request): Avatar {
  const avatar = req.visitor.avatars.find(({ id }) => id === req.params.id)
  if (avatar === undefined) throw new NotFound('not an avatar of this visitor')
  return avatar
}

/** A drawing may be safe and still too large or too small for any PNG: then the library's own is drawn. */
async function drawnPng(choice: Choice, svg: string, size: number): Promise<Buffer> {
  const { drawPng } = await import('../pictures/png.ts')
  return drawPng(svg, size).catch(async () => drawPng(await drawEmbedded(choice), size))
}

/** A drawing may move in ways that only a browser follows: then the library's own is drawn. */
async function drawnGif(choice: Choice, svg: string): Promise<Buffer> {
  const { drawGif } = await import('../pictures/gif.ts')
  return drawGif(svg).catch(async (error: unknown) => {
    // That one would take as long again.
    if (error instanceof Overloaded) throw error
    return drawGif(await drawEmbedded(choice))
  })
}

function sendPicture(res: Response, type: string, picture: Buffer, etag: string, caching: string): void {
  res.set({ 'Content-Type': type, ETag: etag, 'Cache-Control': caching, 'Content-Security-Policy': picturePolicy })
  res.send(picture)
}

/** RFC 6266: a readable name, such as juniper.moss-adventurer-happy.png. */
function attachment(req: Request, { style, mood }: Choice, extension: string): string {
  const username = req.visitor.user?.username ?? ''
  const parts = [fileNamePart(username), style, mood].filter((part) => part !== '')
  return contentDisposition(`${parts.join('-')}.${extension}`)
}

// Letters, marks and digits of any script; nothing that a file system or a shell takes for something else.
function fileNamePart(name: string): string {
  if (!/[\p{L}\p{N}]/u.test(name)) return 'avatar'
  const safe = name
    .normalize('NFC')
    .replace(/[^\p{L}\p{M}\p{N}._-]+/gu, '-')
    .replace(/^[.-]+/, '')
  return [...safe]
    .slice(0, 40)
    .join('')
    .replace(/[.-]+$/, '')
}
