import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { IncomingMessage } from 'node:http'
import { basename, join } from 'node:path'
import express, { type RequestHandler } from 'express'
import type { AddRoute } from './routes.ts'

const folder = join(import.meta.dirname, '../../public')

const modules = readdirSync(join(folder, 'js'))
/** The modules import each other by relative paths, so their addresses share one version. */
const modulesPath = `/js/${versionOf(modules.map((file) => readFileSync(join(folder, 'js', file))))}`

const immutable = 'public, max-age=31536000, immutable'

type Asset = { url: string; integrity: string }
const assets = new Map<string, Asset>()

/**
 * The address of a file in public/, which contains a hash of its content, and the hash for the attribute `integrity`.
 * Each file is read once.
 */
export function assetOf(file: string): Asset {
  const known = assets.get(file)
  if (known) return known
  const content = readFileSync(join(folder, file))
  const asset = {
    url: file.startsWith('js/') ? `${modulesPath}/${basename(file)}` : `/${file}?v=${versionOf([content])}`,
    integrity: `sha384-${createHash('sha384').update(content).digest('base64')}`,
  }
  assets.set(file, asset)
  return asset
}

function versionOf(contents: Buffer[]): string {
  const hash = createHash('sha256')
  for (const content of contents) hash.update(content)
  return hash.digest('hex').slice(0, 12)
}

/** Serves the files of public/. Each file has its own route, so that no other path is looked up on the disk. */
export function publicFiles(route: AddRoute): void {
  const serve = express.static(folder, {
    index: false,
    redirect: false,
    setHeaders: (res, path) => {
      const url = 'req' in res && res.req instanceof IncomingMessage ? res.req.url : undefined
      res.setHeader('Cache-Control', cachingOf(url, basename(path)))
    },
  })
  const files = readdirSync(folder).filter((file) => file !== 'js')
  for (const file of files) route(`/${file}`, { GET: 'file', name: 'static' }).get(serve)

  const moduleOptions = { root: join(folder, 'js'), headers: { 'Cache-Control': immutable } }
  for (const file of modules) {
    const serveModule: RequestHandler = (_req, res) => res.sendFile(file, moduleOptions)
    route(`${modulesPath}/${file}`, { GET: 'file', name: 'static' }).get(serveModule)
  }
}

/**
 * The Cache-Control of a file. The URL with the current hash may be cached for ever. A URL with another hash belongs to
 * a version of the file that another instance may serve, so it must be revalidated.
 */
function cachingOf(url: string | undefined, file: string): string {
  if (url === assetOf(file).url) return immutable
  return url?.includes('?') ? 'no-cache' : 'public, max-age=3600'
}
