import { LRUCache } from 'lru-cache'

/** A picture with its ETag and, if there is one, its description. */
export type Picture = { bytes: Buffer; etag: string; description?: string }

type PictureCacheOptions = {
  maxBytes: number
  /** Called with false if the picture had to be drawn for this request, otherwise with true. */
  onLookup: (found: boolean) => void
}

/**
 * An LRU cache of pictures in memory, bounded in bytes. Concurrent requests for one picture share its drawing. The key
 * must contain everything that decides how the picture looks.
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
