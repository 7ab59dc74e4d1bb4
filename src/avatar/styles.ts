import { z } from 'zod'
import stylesJson from './styles.json' with { type: 'json' }

const Style = z.object({
  name: z.string(),
  title: z.string(),
  sourceTitle: z.string(),
  license: z.string(),
  licenseUrl: z.string(),
  /** The licence asks that creator, source and licence be named. */
  attribution: z.boolean(),
  creator: z.string(),
  creatorUrl: z.string(),
  sourceUrl: z.string(),
  hasFace: z.boolean(),
  moods: z.array(z.string()),
  animated: z.boolean(),
  text: z.boolean(),
})
export type Style = z.infer<typeof Style>

/** DiceBear 10's styles, with what their licences ask for and what they can show. */
export const styles: readonly Style[] = z.array(Style).parse(stylesJson)

const byName = new Map(styles.map((style) => [style.name, style]))

/** The style of this name, or undefined when DiceBear 10 has none. */
export function findStyle(name: string): Style | undefined {
  return byName.get(name)
}
