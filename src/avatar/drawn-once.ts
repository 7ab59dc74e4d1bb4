import { LRUCache } from 'lru-cache'

/**
 * Draws a picture once for all who ask for it at the same time, and keeps the last ones in memory, `maxBytes` of them,
 * for who asks again. `onAsked` is told whether it could do without a new drawing.
 */
export function drawnOnce<Picture extends { length: number }>(maxBytes: number, onAsked: (found: boolean) => void) {
  const drawn = new LRUCache<string, Picture>({
    maxSize: maxBytes,
    sizeCalculation: ({ length }, key) => length + key.length,
  })
  const underWay = new Map<string, Promise<Picture>>()
  return async (key: string, draw: () => Promise<Picture>): Promise<Picture> => {
    const begun = drawn.get(key) ?? underWay.get(key)
    if (begun) {
      onAsked(true)
      return begun
    }
    const drawing = draw().finally(() => underWay.delete(key))
    onAsked(false)
    underWay.set(key, drawing)
    const picture = await drawing
    drawn.set(key, picture)
    return picture
  }
}
