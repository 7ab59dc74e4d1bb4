import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { blankFont } from '../support/blank-font.ts'

const pictures = join(import.meta.dirname, '../../src/pictures')
const modules = join(import.meta.dirname, '../../node_modules')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fonts-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Returns how many pixels of each letter are drawn on a machine whose own fonts are in `{folder}/data/fonts`. */
async function inkOf(letters: string[], weight: number, changeFonts = (conf: string) => conf): Promise<number[]> {
  const conf = (await readFile(join(pictures, 'fonts.conf'), 'utf8'))
    .replace(/<dir>\/usr.*<\/dir>/g, '')
    .replaceAll('prefix="relative">../../node_modules', `>${modules}`)
    .replace('prefix="relative">fonts', `>${join(pictures, 'fonts')}`)
  const file = join(folder, 'fonts.conf')
  await writeFile(file, changeFonts(conf))
  const program = `
    import sharp from 'sharp'
    const font = 'font-family="system-ui" font-weight="${weight}" font-size="50"'
    for (const letter of ${JSON.stringify(letters)}) {
      const text = '<text x="10" y="60" ' + font + '>' + letter + '</text>'
      const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99">' + text + '</svg>'
      const pixels = await sharp(Buffer.from(svg)).ensureAlpha().extractChannel('alpha').raw().toBuffer()
      console.log(pixels.filter((value) => value > 127).length)
    }`
  const env = {
    PATH: process.env.PATH,
    FONTCONFIG_FILE: file,
    XDG_DATA_HOME: join(folder, 'data'),
    XDG_CACHE_HOME: join(folder, 'cache'),
  }
  const options = { cwd: modules, env }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], options)
  return stdout.trim().split('\n').map(Number)
}

/** One letter of each script that DiceBear can draw and that the app's fonts have. */
const letters = [...'Aéжω日龙あア가ไकকதአខႠᲐمאՄ']
/** A letter of Ol Chiki, which none of the app's fonts has. */
const lacking = 'ᱚ'

test.each([400, 600])(
  'the app’s own fonts draw their letters on a machine without fonts, in weight %i',
  async (weight) => {
    const ink = await inkOf([...letters, lacking], weight)
    expect(ink.slice(0, -1).map((pixels) => pixels > 50)).toEqual(letters.map(() => true))
    expect(ink.at(-1)).toBe(0)
  },
)

test('letters of weight 600 are bolder than those of weight 400', async () => {
  const [normal, bold] = [await inkOf(letters, 400), await inkOf(letters, 600)]
  expect(letters.filter((_, i) => (bold[i] ?? 0) <= (normal[i] ?? 0))).toEqual([])
})

test('a font of the machine draws the letters that the app’s fonts lack', async () => {
  const withoutThai = (conf: string) => conf.replace(/.*thai.*/g, '').replace('<string>Noto Sans Thai</string>', '')
  expect(await inkOf(['A', 'ไ'], 400, withoutThai)).toEqual([expect.any(Number), 0])
  await mkdir(join(folder, 'data/fonts'), { recursive: true })
  await symlink(join(modules, '@expo-google-fonts/noto-sans-thai'), join(folder, 'data/fonts/thai'))
  const [latin, thai] = await inkOf(['A', 'ไ'], 400, withoutThai)
  expect(thai).toBeGreaterThan(50)
  expect(latin).toBe((await inkOf(['A'], 400))[0])
})

test('the blank font file is the one that test/support/blank-font.ts makes', async () => {
  expect(await readFile(join(pictures, 'fonts/blank.ttf'))).toEqual(blankFont())
})
