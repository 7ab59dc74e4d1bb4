import { LRUCache } from 'lru-cache'

/** A picture and the ETag that it is sent with. */
export type Picture = { bytes: Buffer; etag: string }

export type PictureCacheOptions = {
  maxBytes: number
  /** Called with true if the picture is in the cache or is being drawn, with false after a new one has been drawn. */
  onLookup: (found: boolean) => void
}

/**
 * An LRU cache of pictures in memory, bounded in bytes. Concurrent requests for one picture wait for the same drawing.
 * The key must contain everything that decides what the picture looks like.
 */
export function createPictureCache({ maxBytes, onLookup }: PictureCacheOptions) {
  const pictures = new LRUCache<string, Picture>({
    maxSize: maxBytes,
    sizeCalculation: ({ bytes }, key) => bytes.length + key.length,
  })
  const inFlight = new Map<string, Promise<Picture>>()

  async function drawAndKeep(key: string, draw: () => Promise<Picture>): Promise<Picture> {
    const picture = await draw()
    onLookup(false)
    pictures.set(key, picture)
    return picture
  }

  return async function pictureOf(key: string, draw: () => Promise<Picture>): Promise<Picture> {
    const known = pictures.get(key) ?? inFlight.get(key)
    if (known) {
      onLookup(true)
      return known
    }
    const drawing = drawAndKeep(key, draw).finally(() => inFlight.delete(key))
    inFlight.set(key, drawing)
    return drawing
  }
}
