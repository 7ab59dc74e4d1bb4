import { chromium } from 'playwright-core'
import { z } from 'zod'

const Found = z.array(
  z.object({ name: z.string(), attributes: z.array(z.tuple([z.string(), z.string()])), text: z.string() }),
)

/** An element of a page, as a browser understands it. */
export type PageElement = { name: string; attributes: Map<string, string>; text: string }

const findAll = `([html, selector]) =>
  [...new DOMParser().parseFromString(html, 'text/html').querySelectorAll(selector)].map((element) => ({
    name: element.localName,
    attributes: [...element.attributes].map(({ name, value }) => [name, value]),
    text: element.textContent,
  }))`

/** Reads pages by a browser's own parser: what it takes for an element or an attribute is one. Nothing runs, nothing loads. */
export async function openReader() {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-sync'],
  })
  const page = await browser.newPage()

  /** The elements that the selector finds, in the order of the page. */
  async function find(html: string, selector: string): Promise<PageElement[]> {
    const found = Found.parse(await page.evaluate(findAll, [html, selector]))
    return found.map(({ attributes, ...element }) => ({ ...element, attributes: new Map(attributes) }))
  }

  return {
    find,

    /** What a form would send as it stands: its fields by name, what is checked or selected or typed. */
    async filled(html: string, form = 'form[action="/get_avatar"]'): Promise<Record<string, string[]>> {
      const fields = await find(
        html,
        `${form} :is(input:not([type="radio"], [type="checkbox"], [type="color"]), input:checked, option:checked)`,
      )
      const sent: Record<string, string[]> = {}
      for (const field of fields) {
        const name = field.name === 'option' ? await selectOf(html, form, field) : field.attributes.get('name')
        if (name === undefined) continue
        sent[name] = [...(sent[name] ?? []), field.attributes.get('value') ?? '']
      }
      return sent
    },

    close: () => browser.close(),
  }

  async function selectOf(html: string, form: string, option: PageElement): Promise<string | undefined> {
    const value = JSON.stringify(option.attributes.get('value') ?? '')
    const [select] = await find(html, `${form} select:has(option[value=${value}]:checked)`)
    return select?.attributes.get('name')
  }
}
export type Reader = Awaited<ReturnType<typeof openReader>>
