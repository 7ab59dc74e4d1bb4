import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { IncomingMessage } from 'node:http'
import { basename, join } from 'node:path'
import express, { type RequestHandler, Router } from 'express'
import { onlyBy } from './methods.ts'

const folder = join(import.meta.dirname, '../../public')

/** The addresses of the files in public/. */
export const publicFiles = () => readdirSync(folder).map((file) => `/${file}`)

type Asset = { url: string; integrity: string }
const assets = new Map<string, Asset>()

/** A file in public/, read once: an address that changes with its content, so that it can be cached for ever. */
export function assetOf(file: string): Asset {
  const known = assets.get(file)
  if (known) return known
  const content = readFileSync(join(folder, file))
  const hash = (algorithm: string) => createHash(algorithm).update(content)
  const asset = {
    url: `/${file}?v=${hash('sha256').digest('hex').slice(0, 12)}`,
    integrity: `sha384-${hash('sha384').digest('base64')}`,
  }
  assets.set(file, asset)
  return asset
}

/** The files of public/, and no other method for them than reading. */
export function staticFiles(): RequestHandler {
  const files = new Set(publicFiles())
  const router = Router()
  router.use(
    express.static(folder, {
      index: false,
      redirect: false,
      setHeaders: (res, path) => {
        const url = 'req' in res && res.req instanceof IncomingMessage ? res.req.url : undefined
        res.setHeader('Cache-Control', cachingOf(url, basename(path)))
      },
    }),
    onlyBy('GET', 'HEAD'),
  )
  // Whatever else is asked for is not looked for on the disk.
  return (req, res, next) => (files.has(req.path) ? router(req, res, next) : next())
}

/** For ever where the address is of this very content; while versions change it may be another one's, for another instance. */
function cachingOf(url: string | undefined, file: string): string {
  if (url === assetOf(file).url) return 'public, max-age=31536000, immutable'
  return url?.includes('?') ? 'no-cache' : 'public, max-age=3600'
}
