import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ejs, { type TemplateFunction } from 'ejs'
import type { Response } from 'express'

type Values = Record<string, unknown>
type Done = (error: unknown, html?: string) => void

const partials = join(import.meta.dirname, '../../views/partials')

/**
 * Fills views in, each file read and compiled once. EJS's own `include` looks for its file on the disk each time, and a
 * page of ours has sixty parts; so views call `partial` here.
 */
export function viewRenderer() {
  const compiled = new Map<string, TemplateFunction>()

  function compile(file: string, values: Values): TemplateFunction {
    // The names as variables: EJS's `with` looks each of them up each time, and a page takes twice as long. What a view may
    // do without, it asks for as `locals.name`.
    const variables = { _with: false, destructuredLocals: Object.keys(values) }
    // Else EJS copies all values for each view, in case somebody has added to Object.prototype.
    const options = { filename: file, unsafePrototypeLocals: true, ...variables }
    const view = ejs.compile(readFileSync(file, 'utf8'), options)
    compiled.set(file, view)
    return view
  }

  return function render(file: string, values: Values): string {
    // A part sees the values of the view around it, and its own.
    values.partial = (name: string, own: Values = {}) => render(`${partials}/${name}.ejs`, { ...values, ...own })
    const view = compiled.get(file) ?? compile(file, values)
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
