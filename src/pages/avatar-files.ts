import type { Request, Response } from 'express'
import { type Avatar, sha256 } from '../avatar/avatars.ts'
import type { Choice } from '../avatar/choice.ts'
import { drawnParts } from '../avatar/drawn.ts'
import { drawingConcurrency, type Renderers } from '../avatar/renderers.ts'
import type { User } from '../discord/user.ts'
import { InvalidValues, NotFound } from '../errors.ts'
import { rasterPolicy, svgPolicy } from '../middleware/headers.ts'
import { clientOf } from '../middleware/rate-limit.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { createPictureCache, type Picture } from '../pictures/picture-cache.ts'
import { createQueue } from '../pictures/queue.ts'
import { descriptionOf } from './description.ts'
import { readForm } from './form.ts'

/** The sizes of a PNG, in pixels. */
const pngSizes = ['128', '256', '512', '1024']
export const defaultPngSize = '512'
export const otherPngSizes = pngSizes.filter((size) => size !== defaultPngSize)

const svgType = 'image/svg+xml; charset=utf-8'
const avatarCaching = 'private, max-age=31536000, immutable'
/** A preview is cached for a week only, so that a new version of DiceBear's styles is soon seen. */
export const previewCaching = 'public, max-age=604800'
export const mebibyte = 1024 * 1024

/** GET /preview.svg: a picture for the form and its live preview, drawn by the embedded library. */
export function previewFile(route: AddRoute, { metrics, renderers, capacity }: Parts): void {
  const maxBytes = capacity.pictureCacheMb * mebibyte
  const previews = createPictureCache({ maxBytes, onLookup: (found) => metrics?.onCache('preview', found) })
  const previewQueue = createQueue({
    concurrency: drawingConcurrency,
    perClient: 4,
    maxWaiting: 1000,
    maxWaitingPerClient: 300,
  })

  route('/preview.svg', { GET: 'file' }).get(async (req, res) => {
    // The key is the address, so that the query of a cached preview need not be parsed.
    const preview = await previews(req.url, () => {
      const choice = choiceIn(req.query)
      return previewQueue(async () => previewOf(choice, await renderers.draw(choice)), clientOf(req))
    })
    // Content-Description is a header of RFC 2045 (section 8). The form's script puts it into the text alternative.
    res.set('Content-Description', encodeURIComponent(preview.description ?? ''))
    sendPicture(res, svgType, preview, previewCaching)
  })
}

/** GET /avatars/{id}.svg, .png and .gif: a visitor's own avatars. */
export function avatarFiles(route: AddRoute, parts: Parts): void {
  const session = parts.sessions.load({ rolling: false })
  const { avatars, metrics, renderers, capacity } = parts
  const maxBytes = 2 * capacity.pictureCacheMb * mebibyte
  const pngs = createPictureCache({ maxBytes, onLookup: (found) => metrics?.onCache('png', found) })
  const gifs = createPictureCache({ maxBytes, onLookup: (found) => metrics?.onCache('gif', found) })
  const concurrency = capacity.renderingProcesses
  // 50 waiting tasks per client, because a visitor may request twelve avatars in four sizes at once.
  const pngQueue = createQueue({ concurrency, perClient: 1, maxWaiting: 200, maxWaitingPerClient: 50 })
  // Rendering a GIF takes as long as a hundred PNGs, so GIFs have their own short queue.
  const gifQueue = createQueue({ concurrency: 1, maxWaiting: 12, maxWaitingPerClient: 4 })

  route('/avatars/:id.svg', { GET: 'file' }).get(session, async (req, res) => {
    const avatar = ownAvatar(req)
    const { svg, checksum } = await avatars.svg(avatar)
    attachIfDownload(req, res, avatar.choice, 'svg')
    sendPicture(res, svgType, { bytes: svg, etag: `"${checksum}"` }, avatarCaching)
  })

  route('/avatars/:id.png', { GET: 'file' }).get(session, async (req, res) => {
    const size = sizeIn(req.query)
    const avatar = ownAvatar(req)
    const { svg, checksum } = await avatars.svg(avatar)
    const etag = `"${checksum}-${size}"`
    const render = (one: string, trusted: boolean) => renderers.png(one, size, trusted)
    const picture = async () => ({ bytes: await renderAvatar(renderers, avatar, svg, render), etag })
    const png = await pngs(etag, () => pngQueue(picture, clientOf(req)))
    attachIfDownload(req, res, avatar.choice, 'png')
    sendPicture(res, 'image/png', png, avatarCaching)
  })

  route('/avatars/:id.gif', { GET: 'file' }).get(session, async (req, res) => {
    const avatar = ownAvatar(req)
    const { svg, checksum } = await avatars.svg(avatar)
    const etag = `"${checksum}-gif"`
    const gif = await gifs(etag, async () => {
      if (!(await renderers.moves(avatar.choice))) throw new NotFound('an avatar that does not move')
      const picture = async () => ({ bytes: await renderAvatar(renderers, avatar, svg, renderers.gif), etag })
      return gifQueue(picture, clientOf(req))
    })
    attachIfDownload(req, res, avatar.choice, 'gif')
    sendPicture(res, 'image/gif', gif, avatarCaching)
  })
}

/** The avatar whose id is in the address. Throws NotFound unless it is in this visitor's history. */
function ownAvatar(req: Request): Avatar {
  const avatar = req.visitor.avatars.find(({ id }) => id === req.params.id)
  if (avatar === undefined) throw new NotFound('not an avatar of this visitor')
  return avatar
}

/** The size of a PNG in the query, in pixels. Throws InvalidValues. */
export function sizeIn({ size = defaultPngSize }: Request['query']): number {
  const known = pngSizes.find((one) => one === size)
  if (known === undefined) throw new InvalidValues('not a size of a PNG')
  return Number(known)
}

/** The choice in a query. Throws InvalidValues. */
export function choiceIn(query: unknown): Choice {
  const { choice } = readForm(query)
  if (!choice) throw new InvalidValues('not a choice that can be drawn')
  return choice
}

/**
 * Renders the SVG of an avatar. If the SVG came from DiceBear's API and cannot be rendered, the embedded library's SVG
 * of the same choice is rendered instead: rendering may take too much time or memory, or the SVG may have animations
 * that only browsers support.
 */
async function renderAvatar(
  renderers: Renderers,
  { choice }: Avatar,
  svg: Buffer,
  render: (svg: string, trusted: boolean) => Promise<Buffer>,
): Promise<Buffer> {
  const embedded = await renderers.draw(choice)
  const stored = svg.toString()
  return stored === embedded ? render(stored, true) : render(stored, false).catch(() => render(embedded, true))
}

function previewOf(choice: Choice, svg: string): Picture {
  // The bytes are allocated outside Node's buffer pool, because a cached slice of the pool would pin 64 KB.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(svg))
  bytes.write(svg)
  return { bytes, etag: etagOf(bytes), description: descriptionOf(choice, drawnParts(choice, svg)) }
}

/** The ETag is a hash of the content, because after an upgrade of DiceBear the same URL may return another picture. */
export const etagOf = (bytes: Buffer) => `"${sha256(bytes)}"`

export function sendPicture(res: Response, type: string, { bytes, etag }: Picture, caching: string): void {
  const policy = type === svgType ? svgPolicy : rasterPolicy
  res.set({ 'Content-Type': type, ETag: etag, 'Cache-Control': caching, 'Content-Security-Policy': policy })
  res.send(bytes)
}

/** If the query contains `download`, names the file and makes the browser save it (RFC 6266). */
function attachIfDownload(req: Request, res: Response, choice: Choice, extension: string): void {
  if (req.query.download === undefined) return
  res.attachment(fileName(req.visitor.user, choice, extension))
}

/** The name of a downloaded file, such as juniper.moss-adventurer-happy.png. */
export function fileName(user: User | undefined, { style, mood }: Choice, extension: string): string {
  const parts = [fileNamePart(user?.username ?? ''), style, mood].filter((part) => part !== '')
  return `${parts.join('-')}.${extension}`
}

/** A username as a part of a file name, without characters that mean something to a file system or shell. */
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
