import type { IncomingMessage } from 'node:http'
import { type ParsedUrlQuery, parse } from 'node:querystring'
import express, { type RequestHandler } from 'express'
import { BodyTooLarge, UnsupportedMediaType } from '../errors.ts'

const longestFormBytes = 16 * 1024
/** The parser reads on past its limit, so that an honest browser gets to our answer; nobody needs to be read longer. */
const longestReadBytes = 16 * 1024 * 1024

/** Whether a request is longer than any form, by its own word. */
export const isTooLong = ({ headers }: IncomingMessage) => Number(headers['content-length']) > longestFormBytes

/** The fields of a form or a query: all of them, however many, or one could hide behind the thousandth. */
export const fieldsOf = (text: string): ParsedUrlQuery => parse(text, '&', '=', { maxKeys: 0 })

/** Our pages are in UTF-8, so browsers send their forms in it. */
const foreignCharset = /;\s*charset=(?!"?utf-?8\b)/i

const isForm: RequestHandler = (req, _res, next) => {
  // An empty post is an empty form, whatever it calls itself.
  const empty =
    req.get('content-length') === '0' || !('content-length' in req.headers || 'transfer-encoding' in req.headers)
  if (empty || (req.is('urlencoded') && !foreignCharset.test(req.get('content-type') ?? ''))) return next()
  throw new UnsupportedMediaType('not a urlencoded form')
}

/** Who asks before sending the body, with "Expect: 100-continue", has our answer at once. */
const isWelcome: RequestHandler = (req, _res, next) => {
  if (req.get('expect') === undefined || !isTooLong(req)) return next()
  throw new BodyTooLarge('a form that is too long, by its own word')
}

const cutOff: RequestHandler = (req, _res, next) => {
  let readBytes = 0
  req.on('data', (part: Buffer) => {
    readBytes += part.length
    if (readBytes > longestReadBytes) req.destroy()
  })
  next()
}

/** express.urlencoded takes time by the square of the number of fields, a second for 16 KiB of "&". */
const readFields: RequestHandler = (req, _res, next) => {
  if (typeof req.body === 'string') req.body = fieldsOf(req.body)
  next()
}

/** Reads a form into `req.body`; throws UnsupportedMediaType or BodyTooLarge for what is none. */
export const form = [
  isForm,
  isWelcome,
  cutOff,
  express.text({ type: 'urlencoded', limit: longestFormBytes }),
  readFields,
]
