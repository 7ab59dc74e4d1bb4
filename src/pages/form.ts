import type { Request, Response } from 'express'
import { z } from 'zod'
import type { Choice } from '../avatar/choice.ts'
import { moods } from '../avatar/moods.ts'
import { findStyle } from '../avatar/styles.ts'
import { wantsJson } from './error-page.ts'
import { words } from './words.ts'

/** The form's fields as the page asks for them; what else is sent is ignored. */
const fields = ['style', 'animated', 'mood', 'backgroundColor', 'seed'] as const
export type Field = (typeof fields)[number]
export type Problem = { field: Field; message: string }

/** The form as it was filled in, for showing it again: maybe wrong, never refused. */
export type Entered = Choice

export type ReadForm =
  | { choice: Choice; entered: Entered; problems: [] }
  | { choice?: undefined; entered: Entered; problems: Problem[] }

const said = words.problems
const maxSeedLength = 128

// Typed by no keyboard, and a nuisance in file names and terminals. Trimmed away at the ends, refused inside.
const controlCharacter = /\p{Cc}/u

/** One field's text: missing counts as empty, twice is an error, spaces at the ends don't count. */
const text = (field: Field) =>
  z
    .union([z.string(), z.undefined()], said.repeated(said.fields[field]))
    .transform((value) => value?.trim() ?? '')
    .refine((value) => !controlCharacter.test(value), said.unreadable(said.fields[field]))

const Form = z.object({
  seed: text('seed').superRefine((seed, context) => {
    const { length } = [...seed]
    if (length > maxSeedLength) context.addIssue({ code: 'custom', message: said.seedTooLong(length, maxSeedLength) })
  }),
  style: text('style').superRefine((style, context) => {
    if (style === '') context.addIssue({ code: 'custom', message: said.styleMissing })
    else if (!findStyle(style)) context.addIssue({ code: 'custom', message: said.styleUnknown(shortened(style)) })
  }),
  backgroundColor: text('backgroundColor').transform((colour, context) => {
    if (colour === '' || colour === 'transparent') return ''
    const hex = /^#?([0-9a-f]{6})$/i.exec(colour)?.[1]
    if (hex === undefined) context.addIssue({ code: 'custom', message: said.colourWrong(shortened(colour)) })
    return hex?.toLowerCase() ?? z.NEVER
  }),
  mood: text('mood').superRefine((mood, context) => {
    if (mood !== '' && !moods.includes(mood)) {
      context.addIssue({ code: 'custom', message: said.moodUnknown(shortened(mood)) })
    }
  }),
  animated: text('animated')
    .refine((value) => value === '' || value === 'on', said.animatedWrong)
    .transform((value) => value === 'on'),
})

const Sent = z.record(z.string(), z.unknown()).catch({})

/** Reads the form from a body or a query: the choice, or what is wrong with each field. */
export function readForm(sent: unknown): ReadForm {
  const raw = Sent.parse(sent)
  const given = Object.fromEntries(fields.map((field) => [field, raw[field]]))
  const entered = asEntered(given)
  const read = Form.safeParse(given)
  const problems = read.error?.issues.map((issue) => problem(issue)) ?? []
  const lacking = moodProblem(entered)
  if (lacking && !problems.some(({ field }) => field === 'style' || field === 'mood')) problems.push(lacking)
  if (!read.success || problems.length > 0) return { entered, problems: inOrder(problems) }
  return { choice: read.data, entered: { ...read.data }, problems: [] }
}

/** What was entered, without what is wrong. */
export function goodPart({ entered, problems }: ReadForm): Entered {
  const good = { ...entered }
  for (const { field } of problems) {
    if (field === 'animated') good.animated = false
    else good[field] = ''
  }
  return good
}

// Asked apart from the schema, which tells nothing of two fields together while a third is wrong.
function moodProblem(entered: Entered): Problem | undefined {
  const { mood } = entered
  const style = findStyle(entered.style)
  if (style === undefined || mood === '' || style.moods.includes(mood)) return undefined
  const message = style.hasFace ? said.moodLacking(style.title, mood) : said.moodFaceless(style.title)
  return { field: 'mood', message }
}

function problem(issue: z.core.$ZodIssue): Problem {
  return { field: z.enum(fields).parse(issue.path[0]), message: issue.message }
}

const inOrder = (problems: Problem[]) =>
  fields.flatMap((field) => problems.filter((one) => one.field === field).slice(0, 1))

function asEntered(given: Record<string, unknown>): Entered {
  const first = (field: Field) => {
    const value = Array.isArray(given[field]) ? given[field][0] : given[field]
    return typeof value === 'string' ? value.trim() : ''
  }
  return {
    seed: first('seed'),
    style: first('style'),
    backgroundColor: first('backgroundColor'),
    mood: first('mood'),
    animated: first('animated') === 'on',
  }
}

const shortened = (value: string) => ([...value].length > 40 ? `${[...value].slice(0, 39).join('')}…` : value)

/** 422: the page with the form again, what was entered still there; a program gets the problems as JSON (RFC 9457). */
export function formRefused(
  req: Request,
  res: Response,
  view: string,
  page: { problems: Problem[] } & Record<string, unknown>,
) {
  res.status(422).vary('Accept')
  if (!wantsJson(req)) return res.render(view, page)
  const problem = { type: 'about:blank', title: said.summary(page.problems.length), status: 422, errors: page.problems }
  res.type('application/problem+json').send(JSON.stringify(problem))
}
