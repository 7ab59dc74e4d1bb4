import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { Choice, dicebearOptions } from './choice.ts'
import { isCutByCircle } from './circle.ts'
import { drawEmbeddedUtf8 } from './embedded.ts'
import type { FileCache } from './file-cache.ts'

/** An avatar as a visitor's session remembers it. */
export const Avatar = z.object({
  /** Hash of the choice: the same choice has the same id. The path of the file in the cache follows from it. */
  id: z.string().regex(/^[0-9a-f]{64}$/),
  /** With the seed that was drawn. */
  choice: Choice,
  /** False where the seed is the Discord username. */
  seedTyped: z.boolean(),
})
export type Avatar = z.infer<typeof Avatar>

/** An SVG that was checked, as it is sent, and its SHA-256. */
export type Drawing = { svg: Buffer; checksum: string }

/** An SVG with the stamp of its file, where that is known. */
type Written = { svg: Buffer; stamp: string | undefined }

/** Room for the drawings that are kept in memory, beside their files. */
const memoryBytes = 32 * 1024 * 1024

/** Goes into every key: the same seed gives another face with another major version of DiceBear. */
const drawing = 'dicebear-10'

export type AvatarsOptions = {
  /** DiceBear's HTTP API, or undefined: everything is drawn in this process. */
  askDiceBear: ((choice: Choice, until?: number) => Promise<Uint8Array>) | undefined
  cache: FileCache
  /** Told whether the cache had what was asked for. */
  onRead: (found: boolean) => void
  /** Told why DiceBear's own answer was not used. */
  onFallback: (why: unknown) => void
}

/** The pictures: from the cache, else from DiceBear, else drawn here. None of it fails because DiceBear does. */
export function createAvatars({ askDiceBear, cache, onRead, onFallback }: AvatarsOptions) {
  const underWay = new Map<string, Promise<Written>>()
  const looks = new Map<string, Promise<string | undefined>>()
  const inMemory = new LRUCache<string, { drawing: Drawing; stamp: string | undefined }>({
    maxSize: memoryBytes,
    sizeCalculation: ({ drawing }) => drawing.svg.length + 500,
  })

  async function draw(choice: Choice, until?: number): Promise<Uint8Array> {
    if (askDiceBear === undefined) return drawEmbeddedUtf8(choice)
    return askDiceBear(choice, until).catch((why) => {
      onFallback(why)
      return drawEmbeddedUtf8(choice)
    })
  }

  // Everybody who asks for the same new picture meanwhile shares one drawing of it.
  function drawOnce(id: string, choice: Choice, until?: number): Promise<Written> {
    const drawing =
      underWay.get(id) ??
      draw(choice, until)
        .then((svg) => written(id, apart(svg)))
        .finally(() => underWay.delete(id))
    underWay.set(id, drawing)
    return drawing
  }

  const written = async (id: string, svg: Buffer): Promise<Written> => ({ svg, stamp: await cache.write(id, svg) })

  // Who asks for the same one meanwhile shares the look at its file.
  function stampOf(id: string): Promise<string | undefined> {
    const looking = looks.get(id) ?? cache.stamp(id).finally(() => looks.delete(id))
    looks.set(id, looking)
    return looking
  }

  async function drawingOf(id: string, choice: Choice, until?: number): Promise<Drawing> {
    const kept = inMemory.get(id)
    // Before the file is read: what befalls it afterwards shows.
    const stamp = kept && (await stampOf(id))
    if (kept && stamp !== undefined && kept.stamp === stamp) {
      onRead(true)
      return kept.drawing
    }
    const found = await cache.read(id)
    onRead(found !== undefined || kept !== undefined)
    if (found !== undefined) return remember(id, { svg: found, stamp })
    // Gone or damaged, but known: it is written anew.
    const known = kept?.drawing.svg
    return remember(id, await (known === undefined ? drawOnce(id, choice, until) : written(id, known)))
  }

  function remember(id: string, { svg, stamp }: Written): Drawing {
    const drawing = { svg, checksum: sha256(svg) }
    inMemory.set(id, { drawing, stamp })
    return drawing
  }

  return {
    /** The avatar of this choice, its picture kept as a file. `until`, by `performance.now()`, DiceBear is waited for. */
    async make(choice: Choice, seedTyped: boolean, until: number): Promise<Avatar> {
      const id = avatarId(choice)
      await drawingOf(id, choice, until)
      return { id, choice, seedTyped }
    },

    /** Whether Discord's circle cuts something off. False, too, where that would take a new drawing to tell. */
    async isCutByCircle({ id, choice }: Avatar): Promise<boolean> {
      const svg = inMemory.get(id)?.drawing.svg ?? (await cache.read(id))
      return svg !== undefined && isCutByCircle(choice.style, svg)
    },

    /** The SVG of an avatar; a file that is lost or damaged is mended. */
    svg(avatar: Avatar): Promise<Drawing> {
      return drawingOf(avatar.id, avatar.choice)
    },
  }
}
export type Avatars = ReturnType<typeof createAvatars>

/** The bytes in memory of their own. Small buffers share a pool, and who keeps one of them keeps all of it. */
const apart = (bytes: Uint8Array) => Buffer.from(new Uint8Array(bytes).buffer)

/** SHA-256 in hex. */
export const sha256 = (text: string | Buffer) => hash('sha256', text, 'hex')

/** Hash of all that decides what the picture looks like. */
export function avatarId(choice: Choice): string {
  return sha256(JSON.stringify([drawing, choice.style, dicebearOptions(choice)]))
}
