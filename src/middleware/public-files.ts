import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AddRoute } from './routes.ts'

const folder = join(import.meta.dirname, '../../public')

const modules = readdirSync(join(folder, 'js'))
/** The modules import each other by relative paths, so their addresses share one version. */
const modulesVersion = versionOf(modules.map((file) => readFileSync(join(folder, 'js', file))))

const files = [...readdirSync(folder).filter((file) => file !== 'js'), ...modules.map((file) => `js/${file}`)]
/** The files of public/, each read once. */
const assets = new Map(files.map((file) => [file, readAsset(file)] as const))

/** `url` is the path at which the file is served, with a hash of the content. `integrity` is for the HTML attribute. */
function readAsset(file: string) {
  const content = readFileSync(join(folder, file))
  const isModule = file.startsWith('js/')
  const path = isModule ? file.replace('js', `/js/${modulesVersion}`) : `/${file}`
  const url = isModule ? path : `${path}?v=${versionOf([content])}`
  return { path, url, integrity: `sha384-${createHash('sha384').update(content).digest('base64')}` }
}

function versionOf(contents: Buffer[]): string {
  const hash = createHash('sha256')
  for (const content of contents) hash.update(content)
  return hash.digest('hex').slice(0, 12)
}

/** The address and hash of a file, by its path in public/. */
export function assetOf(file: string) {
  const asset = assets.get(file)
  if (asset === undefined) throw new Error(`no file ${file} in public/`)
  return asset
}

/** Serves the files of public/. Each file has its own route, so that no other path is looked up on the disk. */
export function publicFiles(route: AddRoute): void {
  for (const [file, { path, url }] of assets) {
    route(path, { GET: 'file', name: 'static' }).get((req, res) => {
      res.sendFile(file, { root: folder, headers: { 'Cache-Control': cachingOf(req.url, url) } })
    })
  }
}

/**
 * The Cache-Control of a file. The URL with the hash of its content may be cached for ever. A URL with another hash
 * comes from a page of an instance with another version of the app, and would otherwise keep this version's content. A
 * URL without a hash, such as /favicon.ico, may be cached for an hour.
 */
function cachingOf(url: string, currentUrl: string): string {
  if (url === currentUrl) return 'public, max-age=31536000, immutable'
  return url.includes('?') ? 'no-cache' : 'public, max-age=3600'
}
