import { LRUCache } from 'lru-cache'

/**
 * Draws a picture once for all who ask for it at the same time, and keeps the last ones in memory, `maxBytes` of them,
 * for who asks again. `onAsked` is told whether it could do without a new drawing.
 */
export function drawnOnce(maxBytes: number, onAsked: (found: boolean) => void) {
  const drawn = new LRUCache<string, Buffer>({ maxSize: maxBytes, sizeCalculation: (picture) => picture.length })
  const underWay = new Map<string, Promise<Buffer>>()
  return async (key: string, draw: () => Promise<Buffer>): Promise<Buffer> => {
    const known = drawn.get(key)
    onAsked(known !== undefined || underWay.has(key))
    if (known) return known
    const drawing = underWay.get(key) ?? draw().finally(() => underWay.delete(key))
    underWay.set(key, drawing)
    const picture = await drawing
    drawn.set(key, picture)
    return picture
  }
}
