import { z } from 'zod'
import { openBrowser } from './browser.ts'

const Pairs = z.array(z.tuple([z.string(), z.string()]))
const Found = z.array(z.object({ name: z.string(), attributes: Pairs, text: z.string() }))

/** An element of a page, as a browser understands it. */
export type PageElement = { name: string; attributes: Map<string, string>; text: string }

/** How many pages are kept in mind at once. */
const mostPages = 64

// Texts and not functions, because these types know no DOM.
const keep = `(number, html) => {
  globalThis.pages ??= new Map()
  pages.set(number, new DOMParser().parseFromString(html, 'text/html'))
  pages.delete(number - ${mostPages})
}`
const findAll = `(number, selector) => [...pages.get(number).querySelectorAll(selector)].map((element) => ({
  name: element.localName,
  attributes: [...element.attributes].map(({ name, value }) => [name, value]),
  text: element.textContent,
}))`
const fillIn = `(number, selector) => [...new FormData(pages.get(number).querySelector(selector))]`
const outlineOf = `(number) => [...pages.get(number).querySelectorAll('*')]
  .map((element) => [element.localName, ...[...element.attributes].map(({ name }) => name)].join(' ')).join('\\n')`

/** Reads pages by a browser's own parser: an element or attribute is what it takes for one. Nothing runs, nothing loads. */
export async function openReader() {
  const browser = await openBrowser()
  const tab = await browser.newPage()
  const run = (what: string, ...about: unknown[]) => tab.evaluate(`(${what})(...${JSON.stringify(about)})`)
  let count = 0

  return {
    async read(html: string) {
      count += 1
      const number = count
      await run(keep, number, html)
      return {
        /** The elements that the selector finds, in the order of the page. */
        async find(selector: string): Promise<PageElement[]> {
          const found = Found.parse(await run(findAll, number, selector))
          return found.map(({ attributes, ...element }) => ({ ...element, attributes: new Map(attributes) }))
        },

        /** What the form that the selector finds would send as it stands. */
        async filled(selector: string): Promise<Record<string, string>> {
          return Object.fromEntries(Pairs.parse(await run(fillIn, number, selector)))
        },

        /** Every element by its name and the names of its attributes. */
        async outline(): Promise<string[]> {
          return z
            .string()
            .parse(await run(outlineOf, number))
            .split('\n')
        },
      }
    },

    close: () => browser.close(),
  }
}
export type Reader = Awaited<ReturnType<typeof openReader>>
export type Page = Awaited<ReturnType<Reader['read']>>
