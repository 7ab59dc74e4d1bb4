import { chromium } from 'playwright-core'
import { z } from 'zod'

const Pairs = z.array(z.tuple([z.string(), z.string()]))
const Found = z.array(z.object({ name: z.string(), attributes: Pairs, text: z.string() }))

/** An element of a page, as a browser understands it. */
export type PageElement = { name: string; attributes: Map<string, string>; text: string }

const findAll = `([html, selector]) =>
  [...new DOMParser().parseFromString(html, 'text/html').querySelectorAll(selector)].map((element) => ({
    name: element.localName,
    attributes: [...element.attributes].map(({ name, value }) => [name, value]),
    text: element.textContent,
  }))`

const fillIn = `([html, selector]) =>
  [...new FormData(new DOMParser().parseFromString(html, 'text/html').querySelector(selector))]`

/** Reads pages by a browser's own parser: an element or attribute is what it takes for one. Nothing runs, nothing loads. */
export async function openReader() {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-sync'],
  })
  const page = await browser.newPage()
  return {
    /** The elements that the selector finds, in the order of the page. */
    async find(html: string, selector: string): Promise<PageElement[]> {
      const found = Found.parse(await page.evaluate(findAll, [html, selector]))
      return found.map(({ attributes, ...element }) => ({ ...element, attributes: new Map(attributes) }))
    },

    /** What the form that the selector finds would send as it stands. */
    async filled(html: string, selector: string): Promise<Record<string, string>> {
      return Object.fromEntries(Pairs.parse(await page.evaluate(fillIn, [html, selector])))
    },

    close: () => browser.close(),
  }
}
export type Reader = Awaited<ReturnType<typeof openReader>>
