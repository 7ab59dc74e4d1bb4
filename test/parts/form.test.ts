// What the fields of the form mean, and the messages about wrong ones.
import { describe, expect, test } from 'vitest'
import { isPin, lookUrl, measure, moodHint, stillHint } from '../../public/js/look.js'
import { avatarId } from '../../src/avatar/avatars.ts'
import { partsOf } from '../../src/avatar/parts.ts'
import { readForm } from '../../src/pages/form.ts'
import { partsView } from '../../src/pages/parts-view.ts'
import { words } from '../../src/pages/words.ts'
import { moodMap, styleList } from '../support/drawn.ts'

function choiceOf(sent: Record<string, string>) {
  const { choice, problems } = readForm({ style: 'micah', seed: 'fern', ...sent })
  if (choice === undefined) throw new Error(JSON.stringify(problems))
  return choice
}

test.each<[string, string, number]>([
  ['scale', '.75', 0.75],
  ['scale', '5e-1', 0.5],
  ['scale', '7.5E-1', 0.75],
  ['scale', ' 2 ', 2],
  ['translateX', '-50', -50],
  ['translateY', '5e1', 50],
  ['rotate', '-.5', -0.5],
  ['rotate', '45', 45],
])('%s may be written as “%s”, as HTML writes numbers', (field, entered, value) => {
  expect(choiceOf({ [field]: entered })).toMatchObject({ [field]: value })
})

test.each(['1.', '+1', '0x1', '1e', 'e1', '1 0', '--1', '1,5', '.', '-'])('“%s” is not a number', (entered) => {
  expect(readForm({ style: 'micah', scale: entered }).problems.map(({ field }) => field)).toEqual(['scale'])
})

test('DiceBear’s defaults, written out, give the same choice as an empty field', () => {
  const written = { scale: '1.0', translateX: '0', translateY: '-0', rotate: '0.0', flip: 'none' }
  const background = { backgroundColorFill: 'solid', backgroundColorAngle: '0' }
  expect(choiceOf({ ...written, ...background })).toEqual(choiceOf({}))
  expect(avatarId(choiceOf({ ...written, ...background }))).toBe(avatarId(choiceOf({})))
  const gradient = { backgroundColor: 'ffd29d', backgroundColorFill: 'radial', backgroundColor2: '263239' }
  expect(choiceOf({ ...gradient, backgroundColorAngle: '0' })).toEqual(choiceOf(gradient))
})

test('the address of a look has none of DiceBear’s defaults, however they are written, and no part without a value', () => {
  const written = { scale: '1.0', translateX: '0', translateY: '-0', rotate: '0.0', flip: 'none', mood: '' }
  const look = { seed: 'fern', style: 'micah', backgroundColor: 'ffd29d' }
  const address = '/?seed=fern&style=micah&backgroundColor=ffd29d'
  expect(lookUrl({ ...look, ...written, pins: { hairVariant: '' } })).toBe(address)
  expect(lookUrl({ ...look, flip: 'both', pins: { hairVariant: 'full' } })).toBe(
    `${address}&flip=both&hairVariant=full`,
  )
})

test.each([
  ['hairVariant', true],
  ['hairColor', true],
  ['backgroundColor', false],
  ['backgroundColor2', false],
  ['HairColor', false],
  ['_hairColor', false],
  ['Color', false],
])('the field %s is for a part or a colour: %s', (field, expected) => {
  expect(isPin(field)).toBe(expected)
})

test('numbers and lists in the texts of the form are as in English', () => {
  expect([measure('-5', '°'), measure('120', ' %')]).toEqual(['−5°', '120 %'])
  expect(stillHint(words.script, 'Micah', ['Thumbs', 'Blobs', 'Clay'])).toBe(
    'Micah doesn’t move. Thumbs, Blobs and Clay do.',
  )
  expect(moodHint(words.script, 'Micah', ['love', 'sleepy'])).toBe('Micah can’t look in love or sleepy.')
})

test('a gradient needs two colours', () => {
  const fill = { backgroundColorFill: 'linear', backgroundColorAngle: '45' }
  for (const backgroundColor of ['', 'transparent', 'own', 'ffd29d']) {
    expect(choiceOf({ ...fill, backgroundColor })).toEqual(choiceOf({ backgroundColor }))
    if (backgroundColor === 'ffd29d') continue
    const withSecond = { ...fill, backgroundColor, backgroundColor2: '263239' }
    expect(choiceOf(withSecond)).toEqual(choiceOf({ backgroundColor }))
    // Neither has the address of the look, so that two addresses of one picture do not differ.
    expect(lookUrl({ style: 'micah', ...withSecond })).toBe(lookUrl({ style: 'micah', backgroundColor }))
  }
  expect(choiceOf({ backgroundColor: 'ffd29d', backgroundColor2: '263239' })).toEqual(
    choiceOf({ backgroundColor: 'ffd29d' }),
  )
})

describe('the message about a wrong field', () => {
  const [fits, long] = ['x'.repeat(40), 'x'.repeat(41)]
  const cut = `${'x'.repeat(39)}…`
  test.each<[Record<string, unknown>, string]>([
    [{ style: '' }, 'Choose a style.'],
    [{ style: fits }, `“${fits}” is not one of our styles. Choose a style.`],
    [{ style: long }, `“${cut}” is not one of our styles. Choose a style.`],
    [{ style: '🦊'.repeat(41) }, `“${'🦊'.repeat(39)}…” is not one of our styles. Choose a style.`],
    [{ animated: 'yes' }, 'Tick “Animate”, or leave it unticked.'],
    [{ mood: long }, `“${cut}” is not one of our moods. Choose one of those below.`],
    [{ mood: 'sleepy' }, 'Micah can’t look sleepy. Choose another mood or style.'],
    [{ style: 'bottts', mood: 'sad' }, 'Bottts can’t look sad. Choose another mood or style.'],
    [{ backgroundColor: 'red' }, '“red” is not a colour code. Use six digits such as #ffd29d.'],
    [{ backgroundColor2: long }, `“${cut}” is not a colour code. Use six digits such as #ffd29d.`],
    [{ hairColor: 'red' }, '“red” is not a colour code. Use six digits such as #ffd29d.'],
    [{ backgroundColorFill: 'conic' }, 'Choose the kind of background from what is offered.'],
    [{ backgroundColorAngle: '361' }, 'Set the angle of the background to a number from −360 to 360.'],
    [{ scale: '3' }, 'Set the size to a number from 0.5 to 2.'],
    [{ translateX: '51' }, 'Set the shift to the right to a number from −50 to 50.'],
    [{ translateY: '51' }, 'Set the shift down to a number from −50 to 50.'],
    [{ rotate: '46' }, 'Set the tilt to a number from −45 to 45.'],
    [{ flip: 'up' }, 'Choose the mirror from what is offered.'],
    [{ seed: 'x'.repeat(130) }, 'The seed is 130 characters long. Use 128 or fewer.'],
    [{ seed: 'a\0b' }, 'There is a character in the seed that can’t be shown. Type it again, on one line.'],
    [{ seed: ['a', 'b'] }, 'The form sent the seed twice. Choose it once.'],
    [{ facialHairVariant: ['a', 'b'] }, 'The form sent the facial hair twice. Choose it once.'],
    [{ eyeShadowColor: ['a', 'b'] }, 'The form sent the eye shadow colour twice. Choose it once.'],
  ])('%j is: %s', (sent, message) => {
    const { problems } = readForm({ style: 'micah', ...sent })
    expect(problems.map((problem) => problem.message)).toEqual([message])
  })

  test('about a list of variants that DiceBear would refuse tells its limit', () => {
    const icons = partsOf('icons').parts[0]?.variants ?? []
    const { problems } = readForm({ style: 'icons', iconVariant: icons.slice(0, 129).join() })
    expect(problems).toEqual([
      { field: 'iconVariant', message: 'The dice can choose among 128 at most. Untick some, or all.' },
    ])
  })

  test('about a part is before that about a colour, as on the page', () => {
    const { problems } = readForm({
      style: 'micah',
      rotate: '46',
      hairColor: 'red',
      hairVariant: ['a', 'b'],
      mood: 'odd',
    })
    expect(problems.map(({ field }) => field)).toEqual(['mood', 'hairVariant', 'hairColor', 'rotate'])
  })
})

describe('the card of the parts', () => {
  function viewOf(sent: Record<string, string>, part?: string) {
    const { entered } = readForm(sent)
    const choice = choiceOf(sent)
    const view = partsView({ ...choice, pins: choice.pins ?? {} }, entered, part, [])
    if (view === undefined) throw new Error('no parts')
    return view
  }

  test('lets visitors tick several variants, but not “As rolled”, “None” or “Any long” beside them', () => {
    const tiles = viewOf({ style: 'adventurer' }, 'hair').open?.flatMap((card) => ('tiles' in card ? card.tiles : []))
    const ticked = tiles?.flatMap(({ value, isVariant }) => (isVariant ? [value] : []))
    const { variants = [] } = partsOf('adventurer').parts.find(({ name }) => name === 'hair') ?? {}
    expect(ticked?.toSorted()).toEqual(variants.toSorted())
    expect(tiles?.length).toBeGreaterThan(variants.length)
  })

  test('shows the parts that change a face most, but five at least, and the others under “More”', () => {
    for (const { name: style } of styleList) {
      const { chips, rest } = viewOf({ style })
      expect([style, chips.length >= Math.min(5, chips.length + rest.length)]).toEqual([style, true])
    }
    const shown = {
      micah: 'hair base eyes mouth nose glasses facialHair clothes ears',
      avataaars: 'hair top skin eyes mouth accessories facialHair clothes hat',
      clay: 'top body eyes mouth pattern',
      miniavs: 'hair head skin body eyes mouth glasses',
      squircles: 'body shape accent',
      sprouts: 'eyes mouth plant pot pattern',
      'voxel-art': 'hair top skin eyes mouth nose glasses beard outfit hat',
      initials: 'letters initials text',
    }
    for (const [style, names] of Object.entries(shown)) {
      expect([
        style,
        viewOf({ style })
          .chips.map(({ name }) => name)
          .join(' '),
      ]).toEqual([style, names])
    }
    const { rest } = viewOf({ style: 'micah' })
    expect(rest.map(({ name }) => name).join(' ')).toBe('earrings eyebrows earring eyeShadow shirt')
  })

  test('has first what shows the mood: as rolled, none, any of a kind, then the variants of the mood', () => {
    const moods = Object.entries(moodMap.styles.adventurer ?? {})
    expect(moods.length).toBeGreaterThan(4)
    for (const [mood, options] of moods) {
      const ofMood = [options.mouthVariant ?? []].flat()
      const [open] = viewOf({ style: 'adventurer', mood }, 'mouth').open ?? []
      const values = open && 'tiles' in open ? open.tiles.map(({ value }) => value) : []
      const variants = values.slice(values.findIndex((value) => value.startsWith('variant')))
      expect([mood, variants.slice(0, ofMood.length).sort()]).toEqual([mood, ofMood.toSorted()])
    }
  })

  test('names several ticked variants by their number', () => {
    const [, open] = viewOf({ style: 'adventurer', hairVariant: 'long01,short02' }, 'hair').open ?? []
    const chosen = open && 'tiles' in open ? open.tiles.filter(({ isChosen }) => isChosen) : []
    expect(chosen.map(({ title, value }) => [title, value])).toEqual([['One of 2', 'long01,short02']])
  })

  test('has titles in which numbers have no zeros in front', () => {
    expect(['variant01', 'variant12', 'long02', 'hill3'].map((variant) => words.variantTitle('hair', variant))).toEqual(
      ['Hair 1', 'Hair 12', 'Long 2', 'Hill 3'],
    )
  })
})
