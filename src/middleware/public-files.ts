import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { IncomingMessage } from 'node:http'
import { basename, join } from 'node:path'
import express from 'express'
import type { AddRoute } from './routes.ts'

const folder = join(import.meta.dirname, '../../public')

type Asset = { url: string; integrity: string }
const assets = new Map<string, Asset>()

/** The address of a file in public/, which changes with its content, and its hash for `integrity`. Each file is read once. */
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

/** The files of public/. Each is a route, so that no other path is looked up on the disk. */
export function publicFiles(route: AddRoute): void {
  const serve = express.static(folder, {
    index: false,
    redirect: false,
    setHeaders: (res, path) => {
      const url = 'req' in res && res.req instanceof IncomingMessage ? res.req.url : undefined
      res.setHeader('Cache-Control', cachingOf(url, basename(path)))
    },
  })
  for (const file of readdirSync(folder)) route(`/${file}`, { GET: 'file', name: 'static' }).get(serve)
}

/** Immutable under the address of this content; under another version's address another instance may have other content. */
function cachingOf(url: string | undefined, file: string): string {
  if (url === assetOf(file).url) return 'public, max-age=31536000, immutable'
  return url?.includes('?') ? 'no-cache' : 'public, max-age=3600'
}
