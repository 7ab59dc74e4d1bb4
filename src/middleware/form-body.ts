import { parse } from 'node:querystring'
import express, { type RequestHandler } from 'express'
import { UnsupportedMediaType } from '../errors.ts'

const maxFormBytes = 16 * 1024
/**
 * If a body is larger than this, its connection is destroyed. A smaller body that is still over the limit of
 * express.text() is read and discarded, so that the browser receives the 413.
 */
const maxReadBytes = 16 * 1024 * 1024

/**
 * Parses a form or query. `maxKeys: 0` is no limit. By default Node ignores all but the first 1,000 fields, so a
 * repeated field could be overlooked.
 */
export const parseFields = (text: string) => parse(text, '&', '=', { maxKeys: 0 })

const otherCharset = /;\s*charset=(?!"?utf-?8\b)/i

/** Throws UnsupportedMediaType unless the body is a urlencoded form in UTF-8. A missing body is an empty form. */
const requireForm: RequestHandler = (req, _res, next) => {
  const isEmpty = req.is('urlencoded') === null || req.get('content-length') === '0'
  if (isEmpty || (req.is('urlencoded') && !otherCharset.test(req.get('content-type') ?? ''))) return next()
  throw new UnsupportedMediaType('not a urlencoded form')
}

const cutOffEndlessBody: RequestHandler = (req, _res, next) => {
  let readBytes = 0
  req.on('data', (chunk: Buffer) => {
    readBytes += chunk.length
    if (readBytes > maxReadBytes) req.destroy()
  })
  next()
}

// express.urlencoded would take time that grows with the square of the number of fields: a second for 16 KiB of "&".
const readText = express.text({ type: 'urlencoded', limit: maxFormBytes })

const readFields: RequestHandler = (req, _res, next) => {
  if (typeof req.body === 'string') req.body = parseFields(req.body)
  next()
}

/** Reads a form into `req.body`: strings, arrays for repeated fields. Over 16 KiB gets 413, another type 415. */
export const form = [requireForm, cutOffEndlessBody, readText, readFields]
