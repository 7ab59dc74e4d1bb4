import type { RequestHandler } from 'express'
import { MethodNotAllowed } from '../errors.ts'

/** A page that is there, asked in another way than it can answer. */
export function onlyBy(...methods: string[]): RequestHandler {
  return (_req, res) => {
    res.set('Allow', methods.join(', '))
    throw new MethodNotAllowed('no such method here')
  }
}
