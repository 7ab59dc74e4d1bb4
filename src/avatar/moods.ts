import { z } from 'zod'
import moodsJson from './moods.json' with { type: 'json' }

const StyleOptions = z.record(z.string(), z.union([z.array(z.string()), z.number()]))
/** Options of one style, by DiceBear's names; a list means that the seed picks one of it. */
export type StyleOptions = z.infer<typeof StyleOptions>

const MoodMap = z.object({
  moods: z.array(z.string()),
  styles: z.record(z.string(), z.record(z.string(), StyleOptions)),
  always: z.record(z.string(), StyleOptions),
})
const map = MoodMap.parse(moodsJson)

/** The moods, by name. DiceBear itself has none: each is a choice of mouths, eyes and brows. */
export const moods: readonly string[] = map.moods

/** The style's own options for a mood, or undefined when the style cannot show it. */
export function moodOptions(style: string, mood: string): StyleOptions | undefined {
  const options = map.styles[style]?.[mood]
  return options && { ...map.always[style], ...options }
}
