import { LRUCache } from 'lru-cache'

/**
 * Draws a picture once for all who ask for it at the same time, and keeps the last ones in memory, `maxBytes` of them,
 * for who asks again. `onAsked` is told whether it could do without a new drawing.
 */
export function drawnOnce<Picture extends { length: number }>(maxBytes: number, onAsked: (found: boolean) => void) {
  const drawn = new LRUCache<string, Picture | Promise<Picture>>({
    maxSize: maxBytes,
    sizeCalculation: (picture, key) => ('length' in picture ? picture.length : 0) + key.length,
  })
  return async (key: string, draw: () => Promise<Picture>): Promise<Picture> => {
    const begun = drawn.get(key)
    if (begun) {
      onAsked(true)
      return begun
    }
    const drawing = draw()
    drawn.set(key, drawing)
    try {
      const picture = await drawing
      onAsked(false)
      drawn.set(key, picture)
      return picture
    } catch (error) {
      drawn.delete(key)
      throw error
    }
  }
}
