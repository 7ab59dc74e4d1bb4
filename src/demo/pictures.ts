import express, { type Response, type Router } from 'express'
import type { Account } from './accounts.ts'
import { drawPicture, sendSvg } from './dicebear.ts'

/** A leaf of the decoration, which is a frame of leaves around the picture. */
const leaf = 'M0-44c5 3 5 9 0 13c-5-4-5-10 0-13z'
const leaves = Array.from({ length: 12 }, (_, place) => `<path d="${leaf}" transform="rotate(${place * 30})"/>`).join(
  '',
)
const decorationOf = (turning: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-48 -48 96 96" fill="#6fdcca"><g>${leaves}${turning}</g></svg>`
const decoration = decorationOf('')
const movingDecoration = decorationOf(
  '<animateTransform attributeName="transform" type="rotate" from="0" to="360" dur="24s" repeatCount="indefinite"/>',
)

/** The pictures of the accounts. DiceBear draws all of them as SVG, although their names end in .png. */
export function pictures(accounts: Account[]): Router {
  const router = express.Router()

  async function send(res: Response, style: string, seed: string): Promise<void> {
    res.setHeader('Cache-Control', 'public, max-age=31536000')
    sendSvg(res, await drawPicture(style, seed))
  }

  router.get('/avatars/:id/:file', async (req, res, next) => {
    const { id, file } = req.params
    const account = accounts.find((one) => one.id === id && file.startsWith(`${one.avatar}.`))
    if (account) await send(res, account.pictureStyle ?? 'thumbs', file)
    else next()
  })

  router.get('/banners/:id/:file', async (req, res, next) => {
    const { id, file } = req.params
    const account = accounts.find((one) => one.id === id && file.startsWith(`${one.profile?.banner}.`))
    if (account) await send(res, 'glass', file)
    else next()
  })

  router.get('/avatar-decoration-presets/:file', (req, res) => {
    sendSvg(res, 'passthrough' in req.query ? decoration : movingDecoration)
  })

  router.get('/embed/avatars/:file', async (req, res, next) => {
    if (/^[0-5]\.png$/.test(req.params.file)) await send(res, 'shapes', req.params.file)
    else next()
  })
  return router
}
