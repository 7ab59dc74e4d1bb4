import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Avatar, OptionsDescriptor, Style } from '@dicebear/core'
import express, { type Response, type Router } from 'express'
import { z } from 'zod'

type Field = ReturnType<OptionsDescriptor['toJSON']>[string]
type Drawer = { style: Style; fields: ReadonlyMap<string, Field> }

// Its public API does not offer these options of the library.
const withheld = ['idRandomization', 'title', 'fontFamily', 'fontWeight']

const styleFile = /^([a-z0-9-]+)\.min\.json$/

const numberOrRange = z
  .union([z.number(), z.tuple([z.number(), z.number()])], 'must be a number or a range')
  .exactOptional()

/** The shape of the options that all styles share; their limits, and each style's own options, the library knows. */
const Options = z.looseObject({
  seed: z.string(),
  size: z.number('must be integer').exactOptional(),
  scale: numberOrRange,
  borderRadius: numberOrRange,
  rotate: numberOrRange,
  translateX: numberOrRange,
  translateY: numberOrRange,
  flip: z
    .array(z.enum(['none', 'horizontal', 'vertical', 'both'], 'must be equal to one of the allowed values'))
    .exactOptional(),
  tags: z.array(z.string()).exactOptional(),
})

const LibraryRefusal = z.object({
  details: z.array(z.object({ instancePath: z.string().default(''), message: z.string().default('is wrong') })).min(1),
})

class BadQuery extends Error {}

let styleNames: Promise<string[]> | undefined
const drawers = new Map<string, Promise<Drawer>>()

function allStyles(): Promise<string[]> {
  styleNames ??= readdir(dirname(createRequire(import.meta.url).resolve('@dicebear/styles/adventurer.json'))).then(
    (files) => files.flatMap((file) => styleFile.exec(file)?.[1] ?? []).sort(),
  )
  return styleNames
}

async function drawerOf(name: string): Promise<Drawer | undefined> {
  if (!(await allStyles()).includes(name)) return undefined
  const drawer = drawers.get(name) ?? loadDrawer(name)
  drawers.set(name, drawer)
  return drawer
}

async function loadDrawer(name: string): Promise<Drawer> {
  // Named apart, so that the tests' bundler does not try to resolve the pattern itself.
  const file = `@dicebear/styles/${name}.json`
  const { default: definition }: { default: unknown } = await import(file, { with: { type: 'json' } })
  const style = new Style(definition)
  const fields = new Map(Object.entries(new OptionsDescriptor(style).toJSON()))
  for (const option of withheld) fields.delete(option)
  // The descriptor does not name it, though every style takes it.
  fields.set('tags', { type: 'string', list: true })
  return { style, fields }
}

/** An avatar of the given style, drawn in this process. Throws when there is no such style. */
export async function drawPicture(styleName: string, seed: string): Promise<string> {
  const drawer = await drawerOf(styleName)
  if (drawer === undefined) throw new Error(`DiceBear has no style ${styleName}`)
  return new Avatar(drawer.style, { seed }).toString()
}

/** Answers with an SVG. On the app's own origin it must stay a picture even when it is opened by itself. */
export function sendSvg(res: Response, svg: string): void {
  res.setHeader('Content-Type', 'image/svg+xml')
  res.setHeader('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; sandbox")
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.end(svg)
}

/** The options in DiceBear's manner of writing them: lists by commas, unknown names dropped in silence. */
function readOptions(query: URLSearchParams, fields: Drawer['fields']): Record<string, unknown> {
  const options: Record<string, unknown> = { seed: '' }
  for (const name of new Set(query.keys())) {
    if (name.includes('[')) throw new BadQuery(`querystring/${name} must be a list separated by commas`)
    const field = fields.get(name)
    if (field === undefined) continue
    const values = query.getAll(name)
    options[name] = name === 'seed' ? values.join(',') : readValue(field, values.filter(Boolean))
  }
  return options
}

// What has the wrong shape is handed on as it came, and refused by the schema.
function readValue(field: Field, values: string[]): unknown {
  if (field.type === 'enum' && field.weighted && values.some((value) => value.includes(':'))) return readWeights(values)
  if (field.type === 'range') return values.length === 1 ? readNumber(values[0]) : values.map(readNumber)
  if ('list' in field && field.list) return values
  if (values.length !== 1) return values
  return field.type === 'number' ? readNumber(values[0]) : values[0]
}

function readWeights(values: string[]): Record<string, unknown> {
  return Object.fromEntries(
    values.map((value) => {
      const [variant = '', weight = '1'] = value.split(':')
      return [variant, readNumber(weight)]
    }),
  )
}

function readNumber(text = ''): number | string {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text
}

/** Throws BadQuery when the style does not take the options. */
function draw({ style, fields }: Drawer, query: URLSearchParams): string {
  const options = Options.safeParse(readOptions(query, fields))
  if (!options.success) {
    const [issue] = options.error.issues
    throw new BadQuery(`querystring/${issue?.path.join('/')} ${issue?.message}`)
  }
  try {
    return new Avatar(style, options.data).toString()
  } catch (cause) {
    const [detail] = LibraryRefusal.safeParse(cause).data?.details ?? []
    if (detail === undefined) throw cause
    throw new BadQuery(`querystring${detail.instancePath} must be a good value, but ${detail.message}`, { cause })
  }
}

function refuse(res: Response, message: string): void {
  res.status(400).json({ statusCode: 400, code: 'FST_ERR_VALIDATION', error: 'Bad Request', message })
}

/**
 * A stand-in for DiceBear's HTTP API, version 10, that draws with DiceBear's own library.
 * Mounted at `/demo/dicebear` its address is `{BASE_URL}/demo/dicebear/10.x`.
 */
export function standInDiceBear(): Router {
  const router = express.Router({ caseSensitive: true, strict: true })

  router.use((_req, res, next) => {
    res.setHeader('Access-Control-Allow-Origin', '*')
    next()
  })

  router.get('/10.x', async (_req, res) => {
    res.json({ styles: await allStyles() })
  })

  router.get('/10.x/:style/:format', async (req, res, next) => {
    const drawer = await drawerOf(req.params.style)
    if (drawer === undefined) return next()
    if (req.params.format !== 'svg') return refuse(res, 'params/format must be equal to one of the allowed values')
    const svg = draw(drawer, queryOf(req.url))
    res.setHeader('Content-Disposition', 'inline; filename="avatar.svg"')
    res.setHeader('Cache-Control', 'max-age=31536000')
    res.setHeader('X-Robots-Tag', 'noindex')
    sendSvg(res, svg)
  })

  router.use((req, res) => {
    const message = `Route ${req.method}:${req.url} not found`
    res.status(404).json({ message, error: 'Not Found', statusCode: 404 })
  })

  const answerBadQuery: express.ErrorRequestHandler = (error, _req, res, next) => {
    if (error instanceof BadQuery) refuse(res, error.message)
    else next(error)
  }
  router.use(answerBadQuery)
  return router
}

/**
 * The query as DiceBear's strictest servers read it: a plain comma separates the items of a list, an encoded one is part
 * of an item. Each item becomes a value of its own.
 */
function queryOf(url: string): URLSearchParams {
  const query = new URLSearchParams()
  for (const parameter of url.split('?').slice(1).join('?').split('&')) {
    const [name = '', value = ''] = parameter.split(/=(.*)/s)
    for (const item of value.split(','))
      for (const decoded of new URLSearchParams(`${name}=${item}`)) query.append(...decoded)
  }
  return query
}
