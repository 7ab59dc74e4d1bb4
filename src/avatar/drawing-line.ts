import { promise as lineOf } from 'fastq'
import { TooBusy } from '../errors.ts'

export type DrawingLine = <Picture>(draw: () => Promise<Picture>) => Promise<Picture>

type Options = {
  /** How many are drawn at the same time. */
  atOnce: number
  /** How many may wait; who comes then is refused by TooBusy. */
  longest: number
}

/** A waiting line for drawings, so that they do not pile up. */
export function drawingLine({ atOnce, longest }: Options): DrawingLine {
  const line = lineOf((drawNext: () => Promise<void>) => drawNext(), atOnce)
  return async (draw) => {
    if (line.length() >= longest) throw new TooBusy('too many drawings are waiting')
    return new Promise((resolve, reject) => {
      void line.push(() => Promise.try(draw).then(resolve, reject))
    })
  }
}
