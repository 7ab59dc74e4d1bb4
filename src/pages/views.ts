import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ejs, { type TemplateFunction } from 'ejs'
import type { Response } from 'express'

type Values = Record<string, unknown>

const partials = join(import.meta.dirname, '../../views/partials')

/**
 * Returns a function that renders an EJS file, compiled at its first use. Two defaults of EJS are changed: values are
 * variables of the compiled function, not looked up in a `with` block, and views call `partial` instead of `include`,
 * which looks for its file on the disk each time. With the defaults /show_avatar takes four times as long to render,
 * and misses its bound in test/bench.
 */
export function viewRenderer() {
  const templates = new Map<string, TemplateFunction>()

  /**
   * Compiles a view. Only the names in the first call's `values` become variables; views read optional values as
   * `locals.name`.
   */
  function compile(file: string, values: Values): TemplateFunction {
    const template = ejs.compile(readFileSync(file, 'utf8'), {
      filename: file,
      _with: false,
      destructuredLocals: Object.keys(values),
    })
    templates.set(file, template)
    return template
  }

  return function render(file: string, values: Values): string {
    /** A partial has the values of the view around it, and its own. */
    const partial = (name: string, own: Values = {}) => render(`${partials}/${name}.ejs`, { ...values, ...own })
    const all = { ...values, partial }
    const template = templates.get(file) ?? compile(file, all)
    return template(all)
  }
}

/** `viewRenderer` in the form that `app.engine` needs. */
export function viewEngine() {
  const render = viewRenderer()
  return (file: string, values: object, callback: (error: unknown, html?: string) => void): void => {
    let html: string
    try {
      html = render(file, { ...values })
    } catch (error) {
      callback(error)
      return
    }
    callback(null, html)
  }
}

/** A view as text, for a page that is cached. */
export function rendered(res: Response, view: string, values: object): Promise<string> {
  return new Promise((resolve, reject) => {
    res.render(view, values, (error, html) => (error ? reject(error) : resolve(html)))
  })
}
