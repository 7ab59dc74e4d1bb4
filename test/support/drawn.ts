import { createRequire } from 'node:module'
import { Avatar, Style } from '@dicebear/core'
import { z } from 'zod'
import moodsJson from '../../src/avatar/moods.json' with { type: 'json' }
import stylesJson from '../../src/avatar/styles.json' with { type: 'json' }

const Options = z.record(z.string(), z.union([z.array(z.string()), z.number()]))

/** The table of moods, read from its file without the app's own code. */
export const moodMap = z
  .object({
    moods: z.array(z.string()),
    styles: z.record(z.string(), z.record(z.string(), Options)),
    always: z.record(z.string(), Options),
  })
  .parse(moodsJson)

/** The styles, read from their file without the app's own code, each with its moods. */
export const styleList = z
  .array(z.looseObject({ name: z.string(), title: z.string(), animated: z.boolean() }))
  .parse(stylesJson)
  .map((style) => {
    const known = Object.keys(moodMap.styles[style.name] ?? {})
    return { ...style, hasFace: known.length > 0, moods: moodMap.moods.filter((mood) => known.includes(mood)) }
  })

const require = createRequire(import.meta.url)
const loaded = new Map<string, Style>()

/** Returns a style of @dicebear/styles. */
export function styleOf(name: string): Style {
  const style = loaded.get(name) ?? new Style(require(`@dicebear/styles/${name}.json`))
  loaded.set(name, style)
  return style
}

const flips = ['none', 'horizontal', 'vertical', 'both'] as const

/** The choice that makes an avatar, by the names of the form's fields. */
export type Look = { seed: string; style: string } & Partial<
  Record<'backgroundColor' | 'mood' | 'animated' | (typeof furtherFields)[number], string>
>
/** The form's fields for framing and for a background of two colours, in the order of the page. */
export const furtherFields = [
  'backgroundColorFill',
  'backgroundColor2',
  'backgroundColorAngle',
  'scale',
  'translateX',
  'translateY',
  'rotate',
  'flip',
] as const

/** Returns the picture that a choice must give, drawn by DiceBear's library alone. */
export function drawn(
  { seed, style, backgroundColor = '', mood = '', animated = '', ...more }: Look,
  pins: Record<string, string> = {},
): string {
  const colour = backgroundColor.replace('#', '').toLowerCase()
  const isNone = colour === '' || colour === 'transparent'
  // These two styles are nearly invisible without a background, so they keep their own.
  const none = ['constellation', 'glass'].includes(style) ? {} : { backgroundColor: ['ffffff00'] }
  const face = mood === '' ? {} : { ...moodMap.always[style], ...moodMap.styles[style]?.[mood] }
  const flip = flips.find((one) => one === more.flip)
  const moves = animated === 'on' && styleList.some(({ name, animated: can }) => name === style && can)
  return new Avatar(styleOf(style), {
    seed,
    ...(isNone ? none : background(style, colour, more)),
    ...Object.fromEntries(
      (['scale', 'translateX', 'translateY', 'rotate'] as const).flatMap((name) =>
        more[name] ? [[name, Number(more[name])]] : [],
      ),
    ),
    ...(flip ? { flip } : {}),
    ...face,
    ...pinned(style, pins),
    ...(moves ? { tags: ['animation'] } : {}),
  }).toString()
}

/** Returns the library's options for pinned parts and colours. A pinned part is drawn with probability 100. */
function pinned(style: string, pins: Record<string, string>) {
  return Object.fromEntries(
    Object.entries(pins).flatMap(([field, value]): [string, string[] | number][] => {
      const part = /^(.+)Variant$/.exec(field)?.[1]
      if (part === undefined) return [[field, [value.replace('#', '').toLowerCase()]]]
      const component = styleOf(style).components().get(part)
      // One part has a variant of the name "none", which is drawn like any other.
      if (value === 'none' && !component?.variants().has('none')) return [[`${part}Probability`, 0]]
      const isOptional = (component?.probability() ?? 100) < 100
      return [
        [field, value.split(',')],
        ...(isOptional ? [[`${part}Probability`, 100] satisfies [string, number]] : []),
      ]
    }),
  )
}

function background(style: string, colour: string, more: Partial<Look>) {
  if (colour === 'own') return styleOf(style).colors().has('background') ? {} : { backgroundColor: ['ffffff00'] }
  const { backgroundColorFill: fill, backgroundColor2: second, backgroundColorAngle: angle } = more
  if (!fill || !second) return { backgroundColor: [colour] }
  return {
    backgroundColor: [colour, second.replace('#', '').toLowerCase()],
    backgroundColorFill: fill === 'linear' ? fill : ('radial' as const),
    backgroundColorOrder: 'fixed' as const,
    ...(angle ? { backgroundColorAngle: Number(angle) } : {}),
  }
}
