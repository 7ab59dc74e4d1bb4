import { promise as lineOf, type queueAsPromised } from 'fastq'
import { Overloaded } from '../errors.ts'

/** Draws when it is this client's turn. */
export type DrawingLine = <Picture>(draw: () => Promise<Picture>, client?: string) => Promise<Picture>

type Options = {
  /** How many are drawn at the same time. */
  atOnce: number
  /** How many of these may be one client's. */
  each?: number
  /** How many may wait; who comes then is refused by Overloaded. */
  longest: number
}

type Drawing = () => Promise<void>

/** A waiting line for drawings, so that they do not pile up, and so that nobody stands behind all that another asked for. */
export function drawingLine({ atOnce, each = atOnce, longest }: Options): DrawingLine {
  const line = lineOf((drawNext: Drawing) => drawNext(), atOnce)
  const clients = new Map<string, queueAsPromised<Drawing>>()
  let here = 0

  function lineFor(client: string): queueAsPromised<Drawing> {
    if (each >= atOnce) return line // a line of one's own would hold nobody back
    const known = clients.get(client)
    if (known) return known
    const own = lineOf((drawNext: Drawing) => line.push(drawNext), each)
    own.drain = () => clients.delete(client)
    clients.set(client, own)
    return own
  }

  return async (draw, client = '') => {
    if (here >= atOnce + longest) throw new Overloaded('too many drawings are waiting')
    here += 1
    return new Promise((resolve, reject) => {
      const drawNext = () => Promise.try(draw).then(resolve, reject)
      void lineFor(client)
        .push(drawNext)
        .finally(() => {
          here -= 1
        })
    })
  }
}
