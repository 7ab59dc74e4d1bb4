import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { fittingScale } from '../../public/js/circle.js'
import { isEmptyDrawing } from '../../public/js/look.js'
import { Choice, dicebearOptions } from './choice.ts'
import { type DrawnPart, drawnParts } from './drawn.ts'
import { drawEmbedded } from './embedded.ts'
import type { FileCache, StoredSvg } from './file-cache.ts'

/** An avatar as a visitor's session remembers it. */
export const Avatar = z.object({
  /** Hash of DiceBear's options, so equal pictures have equal ids. The path of the file follows from the id. */
  id: z.string().regex(/^[0-9a-f]{64}$/),
  /** The choice with the seed that was drawn: the Discord username if the visitor entered no seed. */
  choice: Choice,
  /** Whether the visitor entered the seed. Otherwise it is the Discord username. */
  seedTyped: z.boolean(),
})
export type Avatar = z.infer<typeof Avatar>

/** `fittingScale` is the largest scale at which Discord's round crop cuts nothing off. */
export type Drawing = { fittingScale: number; parts: readonly DrawnPart[]; isEmpty: boolean }

/** This text is a part of each id. It must change with DiceBear's major version, because the faces then change. */
const drawnBy = 'dicebear-10'

type AvatarsOptions = {
  /** Requests a checked SVG from DiceBear's HTTP API; undefined if the embedded library draws everything. */
  askDiceBear: ((choice: Choice, deadline?: number) => Promise<Buffer>) | undefined
  cache: FileCache
  /** Called when an SVG is needed, with whether the cache has it. */
  onRead: (found: boolean) => void
  /** Called with DiceBear's error if the embedded library has to draw instead. */
  onFallback: (reason: unknown) => void
}

/** Makes avatars and returns their SVGs, from the file cache, else DiceBear's API, else the embedded library. */
export function createAvatars({ askDiceBear, cache, onRead, onFallback }: AvatarsOptions) {
  /** SVGs that are being read or drawn, by id, so that concurrent requests for one avatar share the work. */
  const inFlight = new Map<string, Promise<StoredSvg>>()
  /** What /show_avatar needs of a drawing, by id. Without this cache the page would miss its bound in test/bench. */
  const drawings = new LRUCache<string, Drawing>({ max: 3_000 })

  function svgOf(id: string, choice: Choice, deadline?: number): Promise<StoredSvg> {
    const svg = inFlight.get(id) ?? readOrDraw(id, choice, deadline).finally(() => inFlight.delete(id))
    inFlight.set(id, svg)
    return svg
  }

  async function readOrDraw(id: string, choice: Choice, deadline?: number): Promise<StoredSvg> {
    const found = await cache.read(id)
    onRead(found !== undefined)
    const stored = found ?? (await cache.write(id, await draw(choice, deadline)))
    remember(id, choice, stored)
    return stored
  }

  function remember(id: string, choice: Choice, { svg }: StoredSvg): void {
    if (drawings.has(id)) return
    const text = svg.toString()
    drawings.set(id, {
      fittingScale: fittingScale(choice.style, text),
      parts: drawnParts(choice, text),
      isEmpty: isEmptyDrawing(choice.style, text),
    })
  }

  /** The library draws in this process, so that visitors get avatars even if no renderer process can be started. */
  async function draw(choice: Choice, deadline?: number): Promise<Buffer> {
    if (askDiceBear === undefined) return Buffer.from(await drawEmbedded(choice))
    return askDiceBear(choice, deadline).catch(async (reason) => {
      onFallback(reason)
      return Buffer.from(await drawEmbedded(choice))
    })
  }

  async function make(choice: Choice, seedTyped: boolean, deadline: number): Promise<Avatar> {
    const id = avatarId(choice)
    await svgOf(id, choice, deadline)
    return { id, choice, seedTyped }
  }

  return {
    /**
     * Starts to make an avatar. Returns a function that takes the Discord username and resolves with the avatar, whose
     * SVG is then in the cache. With a typed seed DiceBear is asked at once, in parallel with Discord. Without one it
     * is asked when the function is called, because the username is the seed. `deadline` is by `performance.now()`.
     */
    begin(choice: Choice, deadline: number): (username: string) => Promise<Avatar> {
      if (choice.seed === '') return (username) => make({ ...choice, seed: username }, false, deadline)
      const avatar = make(choice, true, deadline)
      avatar.catch(() => undefined) // otherwise an early failure would be an unhandled rejection
      return () => avatar
    },

    /** What a drawing shows. Undefined if its file is missing, because the page does not wait for a new one. */
    async drawing({ id, choice }: Avatar): Promise<Drawing | undefined> {
      const found = drawings.has(id) ? undefined : await cache.read(id)
      if (found) remember(id, choice, found)
      return drawings.get(id)
    },

    /** Deletes the files of these avatars. For another visitor who has the same avatar its file is drawn again. */
    async deleteFiles(ids: Iterable<string>): Promise<void> {
      await Promise.all([...new Set(ids)].map((id) => cache.delete(id)))
    },

    /** The SVG of an avatar with its checksum. A lost or damaged file is drawn and stored again. */
    svg(avatar: Avatar): Promise<StoredSvg> {
      return svgOf(avatar.id, avatar.choice)
    },
  }
}
export type Avatars = ReturnType<typeof createAvatars>

/** The SHA-256 of a text or file, in hex. */
export const sha256 = (content: string | Buffer) => hash('sha256', content, 'hex')

/** The hash of everything that decides how the picture looks. */
export function avatarId(choice: Choice): string {
  return sha256(JSON.stringify([drawnBy, choice.style, dicebearOptions(choice)]))
}
