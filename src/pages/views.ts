import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ejs, { type TemplateFunction } from 'ejs'
import type { Response } from 'express'

type Values = Record<string, unknown>

const partials = join(import.meta.dirname, '../../views/partials')

/** A compiled view and the names of the values that it uses. */
type View = { template: TemplateFunction; names: string[] }

/**
 * Returns a function that renders an EJS file, compiled at its first use. Three defaults of EJS are changed, because
 * with them /show_avatar takes four times as long to render, and misses its bound in test/bench:
 *
 * - Values are variables of the compiled function. EJS would look them up in a `with` block.
 * - A view gets only the values whose names occur in its text, because EJS copies all values that it gets.
 * - Views call `partial` instead of `include`, which searches the disk for the file each time.
 */
export function viewRenderer() {
  const views = new Map<string, View>()

  return function render(file: string, values: Values): string {
    const { template, names } = views.get(file) ?? compile(file, values)
    /** Renders a partial with the values of its view and the values of the call. */
    const partial = (name: string, own: Values = {}) => render(`${partials}/${name}.ejs`, { ...values, ...own })
    const needed: Values = { partial }
    for (const name of names) needed[name] = values[name]
    return template(needed)
  }

  /**
   * Compiles a view with the names in `values` as its variables. A value that is missing in this first call is no
   * variable, so views read such values as `locals.name`.
   */
  function compile(file: string, values: Values): View {
    const text = readFileSync(file, 'utf8')
    const variables = Object.keys(values).filter((name) => new RegExp(`\\b${name}\\b`).test(text))
    const optional = [...text.matchAll(/\blocals\.(\w+)/g)].map(([, name = '']) => name)
    const destructuredLocals = ['partial', ...variables]
    const view = {
      template: ejs.compile(text, { filename: file, _with: false, destructuredLocals, escape: escapeHtml }),
      names: [...new Set([...variables, ...optional])],
    }
    views.set(file, view)
    return view
  }
}

/**
 * Escapes a text as EJS does. Most texts have no special character, which a test finds out in a third of the time that
 * EJS needs. Without the test /show_avatar would miss its bound in test/bench.
 */
export function escapeHtml(value: unknown): string {
  const text = String(value ?? '')
  return /[&<>'"]/.test(text) ? ejs.escapeXML(text) : text
}

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

/** Renders a view and resolves with its text, for a page that is cached. */
export function rendered(res: Response, view: string, values: object): Promise<string> {
  return new Promise((resolve, reject) => {
    res.render(view, values, (error, html) => (error ? reject(error) : resolve(html)))
  })
}
