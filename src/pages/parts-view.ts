import { fill, hexColour, type Look } from '../../public/js/look.js'
import { moodOptions } from '../avatar/catalogue.ts'
import type { Effects } from '../avatar/effects.ts'
import { fieldsOfLook, type ReadyLook, readyLooks } from '../avatar/looks.ts'
import { type Colour, colourField, noVariant, type Part, type Pins, partsOf, variantField } from '../avatar/parts.ts'
import { colourName } from './description.ts'
import { lookUrl, pictureUrl } from './look.ts'
import { words } from './words.ts'

type PinField = { name: string }
type PictureLook = Look & { seed: string; style: string; pins?: Pins | undefined }

/** The parts that change a face most. They come first, and the others are under "More". */
const prominent = [
  ...['hair', 'top', 'head', 'skin', 'base', 'body', 'shape', 'eyes', 'mouth', 'nose', 'glasses', 'accessories'],
  ...['facialHair', 'beard', 'clothes', 'outfit', 'hat', 'ears', 'plant', 'letters'],
]
const fewestChips = 5

/** A part, with the colour of the same name if there is one, or a colour alone. */
type Entry = { name: string; part?: Part | undefined; colour?: Colour | undefined }

/**
 * The values of the card "Parts": the parts of the style, the variants and colours of the open part, and what is pinned
 * in other parts. Undefined for a style without parts. `asked` is the name of the open part in the query. A part that
 * is not visible in the look is left out unless it is pinned; if `effects` is missing, all parts are included.
 */
export function partsView(
  look: PictureLook,
  entered: Look,
  asked: unknown,
  pinned: readonly PinField[],
  effects?: Effects | undefined,
) {
  const pins = look.pins ?? {}
  const entries = entriesOf(look.style, pins, effects)
  if (entries.length === 0) return undefined
  const open = entries.find(({ name }) => name === asked)
  const isMain = ({ name }: Entry) => prominent.includes(name)
  const count = Math.max(entries.filter(isMain).length, Math.min(fewestChips, entries.length))
  const sorted = entries.toSorted((a, b) => rank(a) - rank(b))
  const chips = sorted.map((entry) => ({
    name: entry.name,
    title: titleOf(entry),
    fields: fieldsOf(entry).join(' '),
    isOpen: entry === open,
    isPinned: fieldsOf(entry).some((field) => pins[field]),
  }))
  const openFields = open ? fieldsOf(open) : []
  return {
    chips: chips.slice(0, count),
    rest: chips.slice(count),
    open: open && [
      ...(open.colour ? [partColoursView(open.colour, pins)] : []),
      ...(open.part ? [variantsView(open.part, look)] : []),
    ],
    carried: pinned.filter(({ name }) => !openFields.includes(name)),
    yours: chips.filter(({ isPinned }) => isPinned).map(({ title }) => title),
    unpinUrl: lookUrl({ ...entered, pins: {} }),
    looks: readyLooks.map((ready) => readyLookView(ready, look, entered)),
  }
}

function entriesOf(style: string, pins: Pins, effects: Effects | undefined): Entry[] {
  const all = partsOf(style)
  const parts = all.parts.filter((part) => !effects || effects.parts.includes(part.name) || pins[variantField(part)])
  const colours = all.colours.filter(
    (colour) => !effects || effects.colours.includes(colour.name) || pins[colourField(colour)],
  )
  const ofParts = parts.map((part) => ({
    name: part.name,
    part,
    colour: colours.find(({ name }) => name === part.name),
  }))
  const others = colours.filter(({ name }) => !parts.some((part) => part.name === name))
  return [...ofParts, ...others.map((colour) => ({ name: colour.name, colour }))]
}

const fieldsOf = ({ part, colour }: Entry) => [
  ...(part ? [variantField(part)] : []),
  ...(colour ? [colourField(colour)] : []),
]

const titleOf = ({ name, part }: Entry) => (part ? words.partTitle(name) : words.partColourTitle(name))

function rank({ name }: Entry): number {
  const place = prominent.indexOf(name)
  return place === -1 ? prominent.length : place
}

/** The variants of a part, each with a picture of the whole look. Variants that show the mood come first. */
function variantsView(part: Part, look: PictureLook) {
  const field = variantField(part)
  const chosen = look.pins?.[field] ?? ''
  const ofMood = [moodOptions(look.style, String(look.mood ?? ''))?.[field] ?? []].flat()
  const showsMood = (variant: string) => ofMood.includes(variant)
  const variants = [...part.variants.filter(showsMood), ...part.variants.filter((variant) => !showsMood(variant))]
  const offered = [
    { value: '', title: words.home.asRolled },
    ...(part.optional ? [{ value: noVariant, title: words.home.noPart }] : []),
    ...kindsOf(part),
    ...variants.map((variant) => ({ value: variant, title: words.variantTitle(part.name, variant) })),
  ]
  const several = { value: chosen, title: fill(words.home.severalOf, { count: chosen.split(',').length }) }
  const isOffered = offered.some(({ value }) => value === chosen)
  return {
    name: field,
    title: words.partTitle(part.name),
    tiles: [...offered, ...(isOffered ? [] : [several])].map((tile) => ({
      ...tile,
      isVariant: part.variants.includes(tile.value),
      isChosen: tile.value === chosen,
      picture: pictureUrl({ ...look, pins: { ...look.pins, [field]: tile.value } }),
    })),
  }
}

/** Groups of variants such as "long01" to "long26". If the visitor chooses "Any long", the seed picks one of them. */
function kindsOf({ variants }: Part) {
  const byStem = Map.groupBy(variants, (variant) => variant.replace(/\d+$/, ''))
  // "variant01" to "variant63" are no group: they have nothing in common, and a link with all of them would be long.
  const kinds = [...byStem].filter(([stem, members]) => stem !== 'variant' && members.length > 2)
  if (byStem.size < 2) return []
  return kinds.map(([stem, members]) => ({
    value: members.join(','),
    title: fill(words.home.ofAnyKind, { kind: words.variantTitle('', stem).toLowerCase() }),
  }))
}

/** A tile of a ready-made look. The script fills in `fields`; without script `url` opens the form with them. */
function readyLookView(ready: ReadyLook, look: PictureLook, entered: Look) {
  const { pins, ...background } = fieldsOfLook(ready, look.style)
  const withReadyColours = <Some extends Look>(some: Some) => ({
    ...some,
    ...background,
    pins: { ...some.pins, ...pins },
  })
  return {
    title: words.looks[ready.name],
    fields: String(new URLSearchParams({ ...background, ...pins })),
    url: lookUrl(withReadyColours(entered)),
    picture: pictureUrl(withReadyColours(look)),
  }
}

function partColoursView(colour: Colour, pins: Pins) {
  const field = colourField(colour)
  const chosen = hexColour(pins[field] ?? '')
  return {
    name: field,
    title: words.partColourTitle(colour.name),
    swatches: colour.palette.map((value) => ({
      value,
      title: fill(words.home.swatch, { name: colourName(colour.name, { name: colour.name, value }), colour: value }),
      isChosen: value === chosen,
    })),
    ownColour: chosen && !colour.palette.includes(chosen) ? chosen : undefined,
    wellColour: chosen ?? colour.palette[0] ?? '000000',
  }
}
