import { z } from 'zod'
import { openBrowser } from './browser.ts'

const Pairs = z.array(z.tuple([z.string(), z.string()]))
const Found = z.array(z.object({ name: z.string(), attributes: Pairs, text: z.string() }))

/** An element of a page, as a browser parses it. */
export type PageElement = { name: string; attributes: Map<string, string>; text: string }

/** How many parsed pages the browser keeps. */
const maxPages = 64

// These are source texts and not functions, because the compiler does not know the DOM here.
const keep = `(number, html) => {
  globalThis.pages ??= new Map()
  pages.set(number, new DOMParser().parseFromString(html, 'text/html'))
  pages.delete(number - ${maxPages})
}`
const findAll = `(number, selector) => [...pages.get(number).querySelectorAll(selector)].map((element) => ({
  name: element.localName,
  attributes: [...element.attributes].map(({ name, value }) => [name, value]),
  text: element.textContent,
}))`
const fillIn = `(number, selector) => [...new FormData(pages.get(number).querySelector(selector))]`
const outlineOf = `(number) => [...pages.get(number).querySelectorAll('*')]
  .map((element) => [element.localName, ...[...element.attributes].map(({ name }) => name)].join(' ')).join('\\n')`

/** Returns a reader that parses pages with a browser's parser, without running scripts or loading anything. */
export async function openReader() {
  const browser = await openBrowser()
  const tab = await browser.newPage()
  const run = (source: string, ...args: unknown[]) => tab.evaluate(`(${source})(...${JSON.stringify(args)})`)
  let count = 0

  return {
    async read(html: string) {
      count += 1
      const number = count
      await run(keep, number, html)
      return {
        /** Returns the elements that match the selector, in document order. */
        async find(selector: string): Promise<PageElement[]> {
          const found = Found.parse(await run(findAll, number, selector))
          return found.map(({ attributes, ...element }) => ({ ...element, attributes: new Map(attributes) }))
        },

        /** Returns the fields that this form would send now. */
        async filled(selector: string): Promise<Record<string, string>> {
          return Object.fromEntries(Pairs.parse(await run(fillIn, number, selector)))
        },

        /** Returns one line per element: its name and the names of its attributes. */
        async outline(): Promise<string> {
          return z.string().parse(await run(outlineOf, number))
        },
      }
    },

    close: () => browser.close(),
  }
}
export type Reader = Awaited<ReturnType<typeof openReader>>
export type Page = Awaited<ReturnType<Reader['read']>>
