import { Avatar, OptionsDescriptor, type Style } from '@dicebear/core'
import express, { type Response, type Router } from 'express'
import { styleOf } from '../avatar/embedded.ts'

/** Draws an SVG with DiceBear's library. Rejects if there is no such style. */
export async function drawPicture(style: string, seed: string): Promise<string> {
  return new Avatar(await styleOf(style), { seed }).toString()
}

/**
 * Sends an SVG. The content security policy prevents it from doing anything if a visitor opens it in its own tab,
 * because the stand-ins share the app's origin.
 */
export function sendSvg(res: Response, svg: string): void {
  res.setHeader('Content-Type', 'image/svg+xml')
  res.setHeader('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; sandbox")
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.end(svg)
}

/**
 * A stand-in for DiceBear's HTTP API, version 10, that draws with DiceBear's own library. Mounted at `/demo/dicebear`
 * its address is `{BASE_URL}/demo/dicebear/10.x`. https://www.dicebear.com/how-to-use/http-api/
 */
export function standInDiceBear(): Router {
  const router = express.Router({ caseSensitive: true, strict: true })

  router.get('/10.x/:style/svg', async (req, res) => {
    const style = await styleOf(req.params.style).catch(() => undefined)
    if (style === undefined) return notFound(res)
    try {
      sendSvg(res, new Avatar(style, readOptions(style, req.url)).toString())
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      res.status(400).json({ statusCode: 400, code: 'FST_ERR_VALIDATION', error: 'Bad Request', message })
    }
  })

  router.use((_req, res) => notFound(res))
  return router
}

function notFound(res: Response): void {
  res.status(404).json({ statusCode: 404, error: 'Not Found', message: 'Route not found' })
}

/** The options in the query. Those that the style does not have are dropped. */
function readOptions(style: Style, url: string): Record<string, unknown> {
  const query = readQuery(url)
  const options: Record<string, unknown> = { seed: query.getAll('seed').join(',') }
  // The descriptor lacks `tags`, although every style has this option.
  const fields = { ...new OptionsDescriptor(style).toJSON(), tags: { type: 'string' }, seed: undefined }
  for (const [name, field] of Object.entries(fields)) {
    const isNumber = field?.type === 'number' || field?.type === 'range'
    const values = query.getAll(name).map((value) => (isNumber ? Number(value) : value))
    if (field && values.length > 0) options[name] = values.length === 1 ? values[0] : values
  }
  return options
}

/**
 * Reads a query as the strictest of DiceBear's servers do: a plain comma separates the items of a list, and an encoded
 * comma is a part of an item. Each item becomes a separate value.
 */
function readQuery(url: string): URLSearchParams {
  const items = new URL(url, 'http://stand-in').search
    .slice(1)
    .split('&')
    .flatMap((parameter) => {
      const [name = '', values = ''] = parameter.split(/=(.*)/s)
      return values.split(',').map((value) => `${name}=${value}`)
    })
  return new URLSearchParams(items.join('&'))
}
