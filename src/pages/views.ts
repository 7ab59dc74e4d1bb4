import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import ejs, { type TemplateFunction } from 'ejs'
import type { Response } from 'express'

type Values = Record<string, unknown>
type Done = (error: unknown, html?: string) => void

/**
 * Fills views in, each file read and compiled once. `ejs.renderFile` looks for the file on the disk at each include, and
 * a page of ours includes sixty times; so `include` is our own here.
 */
export function viewRenderer() {
  const compiled = new Map<string, TemplateFunction>()

  function compile(file: string): TemplateFunction {
    // Else EJS copies all values for each view, in case somebody has added to Object.prototype.
    const options = { filename: file, unsafePrototypeLocals: true }
    const view = ejs.compile(readFileSync(file, 'utf8'), options)
    compiled.set(file, view)
    return view
  }

  return function render(file: string, values: Values): string {
    const view = compiled.get(file) ?? compile(file)
    // An included view sees the values of the view around it, and its own.
    values.include = (name: string, own: Values = {}) => render(`${dirname(file)}/${name}.ejs`, { ...values, ...own })
    return view(values)
  }
}

/** That as Express's view engine. */
export function viewEngine() {
  const render = viewRenderer()
  return (file: string, values: object, done: Done): void => {
    let html: string
    try {
      html = render(file, { ...values })
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
