import { parse } from 'node:querystring'
import express, { type RequestHandler } from 'express'
import { UnsupportedMediaType } from '../errors.ts'

const maxFormBytes = 16 * 1024
/**
 * express.text() reads and discards a body over its limit, so that the browser receives the 413. If a body is larger
 * than this, the connection is destroyed.
 */
const maxReadBytes = 16 * 1024 * 1024

/**
 * Parses a form or a query. `maxKeys: 0` means no limit: by default only 1,000 fields are read, and a repeated field
 * after them would not be noticed.
 */
export const parseFields = (text: string) => parse(text, '&', '=', { maxKeys: 0 })

const otherCharset = /;\s*charset=(?!"?utf-?8\b)/i

/** Throws UnsupportedMediaType unless the body is a urlencoded form in UTF-8. No body is an empty form. */
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

// Not express.urlencoded: its parser needs quadratic time in the number of fields, a second for 16 KiB of "&".
const readText = express.text({ type: 'urlencoded', limit: maxFormBytes })

const readFields: RequestHandler = (req, _res, next) => {
  if (typeof req.body === 'string') req.body = parseFields(req.body)
  next()
}

/**
 * Reads a form of 16 KiB or less into `req.body`: strings, arrays for repeated fields. 413 or 415 for any other body.
 */
export const form = [requireForm, cutOffEndlessBody, readText, readFields]
