import type { RequestListener } from 'node:http'

/**
 * Gives the app an address that it can read, whatever was asked for: Express lets a request pass by every middleware when
 * it cannot read its address, such as `http://[`.
 */
export function withAddress(app: RequestListener): RequestListener {
  return (req, res) => {
    req.url = addressOf(req.url ?? '/')
    app(req, res)
  }
}

/** Path and query; what cannot be read as one is an address that is not here. */
function addressOf(target: string): string {
  const address = target.startsWith('/') ? target : withoutHost(target)
  return address !== undefined && isReadable(address) ? address : '/%'
}

/** The absolute form, RFC 9112, 3.2.2. */
function withoutHost(target: string): string | undefined {
  const url = URL.parse(target)
  return url?.pathname.startsWith('/') ? url.pathname + url.search : undefined
}

/** Whether its path is UTF-8 under its escapes. */
function isReadable(address: string): boolean {
  try {
    decodeURIComponent(address.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}
