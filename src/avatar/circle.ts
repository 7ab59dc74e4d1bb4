import { z } from 'zod'
import type { Choice } from './choice.ts'
import cutJson from './cut-by-circle.json' with { type: 'json' }
import { isOneOfPickedInThread } from './thread.ts'

/**
 * By style and option, the variants that reach out of the circle. test/circle.test.ts measures each variant of each style,
 * and says what this should be after an upgrade of DiceBear.
 */
const cut = z.record(z.string(), z.record(z.string(), z.array(z.unknown()))).parse(cutJson)

/** Whether Discord's round crop cuts off what matters of this avatar: part of a face, or of what it wears. */
export async function isCutByCircle(choice: Choice): Promise<boolean> {
  const variants = cut[choice.style]
  return variants !== undefined && isOneOfPickedInThread(choice, variants)
}
