import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { fittingScale } from '../../public/js/circle.js'
import { Choice, dicebearOptions } from './choice.ts'
import { drawEmbedded } from './embedded.ts'
import type { FileCache, StoredSvg } from './file-cache.ts'

/** An avatar as a visitor's session remembers it. */
export const Avatar = z.object({
  /** Hash of the choice: the same choice has the same id. The path of the file in the cache follows from it. */
  id: z.string().regex(/^[0-9a-f]{64}$/),
  /** Its seed is the one that was drawn: the Discord username if the visitor entered none. */
  choice: Choice,
  /** False where the seed is the Discord username. */
  seedTyped: z.boolean(),
})
export type Avatar = z.infer<typeof Avatar>

/** Part of every id, because another major version of DiceBear draws another face from the same seed. */
const drawnBy = 'dicebear-10'

export type AvatarsOptions = {
  /** Asks DiceBear's HTTP API and returns a checked SVG; undefined if everything is drawn in this process. */
  askDiceBear: ((choice: Choice, deadline?: number) => Promise<Buffer>) | undefined
  cache: FileCache
  /** Called with whether the file was found in the cache. */
  onRead: (found: boolean) => void
  /** Called with the reason why DiceBear's answer was not used. */
  onFallback: (reason: unknown) => void
}

/**
 * Makes avatars and returns their SVGs: from the file cache, else from DiceBear's API, else from the embedded library,
 * so that visitors do not notice when DiceBear's API fails.
 */
export function createAvatars({ askDiceBear, cache, onRead, onFallback }: AvatarsOptions) {
  /** By id. Concurrent requests for one avatar wait for the same read or drawing. */
  const inFlight = new Map<string, Promise<StoredSvg>>()
  /**
   * By id, the scale at which Discord's round crop cuts nothing off. Without it each view of /show_avatar would read a
   * file, and its bound in test/bench would be missed.
   */
  const fittingScales = new LRUCache<string, number>({ max: 10_000 })

  function svgOf(id: string, choice: Choice, deadline?: number): Promise<StoredSvg> {
    const svg = inFlight.get(id) ?? readOrDraw(id, choice, deadline).finally(() => inFlight.delete(id))
    inFlight.set(id, svg)
    return svg
  }

  async function readOrDraw(id: string, choice: Choice, deadline?: number): Promise<StoredSvg> {
    const found = await cache.read(id)
    onRead(found !== undefined)
    const stored = found ?? (await cache.write(id, await draw(choice, deadline)))
    rememberScale(id, choice, stored)
    return stored
  }

  function rememberScale(id: string, choice: Choice, { svg }: StoredSvg): void {
    if (!fittingScales.has(id)) fittingScales.set(id, fittingScale(choice.style, svg.toString()))
  }

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
     * Starts to make the avatar of a choice; the function returned finishes it and stores the SVG as a file. With a
     * typed seed the request to DiceBear starts at once, in parallel with those to Discord. Otherwise the Discord
     * username becomes the seed, and it starts with that function. DiceBear has time until `deadline`
     * (`performance.now()`).
     */
    begin(choice: Choice, deadline: number): (username: string) => Promise<Avatar> {
      if (choice.seed === '') return (username) => make({ ...choice, seed: username }, false, deadline)
      const avatar = make(choice, true, deadline)
      avatar.catch(() => undefined) // whoever awaits it gets the error
      return () => avatar
    },

    /**
     * The scale at which Discord's round crop cuts nothing off; undefined if it cuts nothing off now. Also undefined if
     * the file is missing, because the page does not wait for a drawing.
     */
    async fittingScale({ id, choice }: Avatar): Promise<number | undefined> {
      const found = fittingScales.has(id) ? undefined : await cache.read(id)
      if (found) rememberScale(id, choice, found)
      const scale = fittingScales.get(id)
      return scale !== undefined && (choice.scale ?? 1) > scale ? scale : undefined
    },

    /** Deletes the files of avatars in this cache. Whoever has the same avatar still gets it: it is drawn again. */
    async forget(ids: Iterable<string>): Promise<void> {
      await Promise.all([...new Set(ids)].map((id) => cache.delete(id)))
    },

    /** The SVG of an avatar with its checksum. A lost or damaged file is drawn and stored again. */
    svg(avatar: Avatar): Promise<StoredSvg> {
      return svgOf(avatar.id, avatar.choice)
    },
  }
}
export type Avatars = ReturnType<typeof createAvatars>

/** In hex. */
export const sha256 = (content: string | Buffer) => hash('sha256', content, 'hex')

/** Hash of everything that decides what the picture looks like. */
export function avatarId(choice: Choice): string {
  return sha256(JSON.stringify([drawnBy, choice.style, dicebearOptions(choice)]))
}
