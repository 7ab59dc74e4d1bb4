import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import ejs, { type TemplateFunction } from 'ejs'
import type { Response } from 'express'

type Values = Record<string, unknown>
type Done = (error: unknown, html?: string) => void

/**
 * EJS as Express's view engine, each file read and compiled once. `ejs.renderFile` looks for the file on the disk at
 * each include and copies all values for it, and a page of ours includes sixty times; so `include` is our own here.
 */
export function viewEngine() {
  const compiled = new Map<string, TemplateFunction>()

  function compile(file: string): TemplateFunction {
    // Values may be inherited: nothing of ours inherits from Object.prototype, which is what EJS warns of.
    const options = { filename: file, unsafePrototypeLocals: true }
    const view = ejs.compile(readFileSync(file, 'utf8'), options)
    compiled.set(file, view)
    return view
  }

  function render(file: string, values: Values): string {
    const view = compiled.get(file) ?? compile(file)
    // An included view sees its own values, and behind them those of the view around it.
    values.include = (name: string, own: Values = {}) =>
      render(`${dirname(file)}/${name}.ejs`, Object.assign(Object.create(values), own))
    return view(values)
  }

  return (file: string, values: object, done: Done): void => {
    let html: string
    try {
      html = render(file, Object.assign(Object.create(null), values))
    } catch (error) {
      done(error)
      return
    }
    done(null, html)
  }
}

/** A view as text, for a page that is kept. */
export function rendered(res: Response, view: string, values: object): Promise<string> {
  return new Promise((resolve, reject) => {
    res.render(view, values, (error, html) => (error ? reject(error) : resolve(html)))
  })
}
