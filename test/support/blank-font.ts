import { writeFileSync } from 'node:fs'

/**
 * Returns the bytes of src/pictures/fonts/blank.ttf, a TrueType font that maps all of Unicode to one empty glyph
 * without width. Run as a program, this module writes the file.
 * https://learn.microsoft.com/typography/opentype/spec/otff
 */
export function blankFont(): Buffer {
  const tables = Object.entries(tablesOfFont()).sort(([one], [other]) => (one < other ? -1 : 1))
  let offset = 12 + 16 * tables.length
  const directory = tables.map(([tag, table]) => {
    const entry = Buffer.concat([Buffer.from(tag), u32(checksum(table), offset, table.length)])
    offset += padded(table).length
    return entry
  })
  const powerOfTwo = 2 ** Math.floor(Math.log2(tables.length))
  const search = u16(tables.length, powerOfTwo * 16, Math.log2(powerOfTwo), (tables.length - powerOfTwo) * 16)
  const font = Buffer.concat([u32(0x00010000), search, ...directory, ...tables.map(([, table]) => padded(table))])
  font.writeUInt32BE((0xb1b0afba - checksum(font)) >>> 0, offsetOf(font, 'head') + 8)
  return font
}

const unitsPerEm = 1000
const ascent = 800
const descent = -200
const glyphs = 2

function tablesOfFont(): Record<string, Buffer> {
  return {
    // This makes it a colour font. fonts.conf prefers fonts without colours, so this one is tried last.
    COLR: Buffer.concat([u16(0, 1), u32(14, 20), u16(1), u16(glyphs, 0, 1), u16(0, 0)]),
    CPAL: Buffer.concat([u16(0, 1, 1, 1), u32(14), u16(0), u32(0)]),
    'OS/2': windowsMetrics(),
    // Format 13 maps many code points to one glyph.
    cmap: Buffer.concat([u16(0, 1, 3, 10), u32(12), u16(13, 0), u32(28, 0, 1), u32(0x20, 0x10ffff, 1)]),
    glyf: Buffer.alloc(4),
    head: Buffer.concat([
      u32(0x00010000, 0x00010000, 0, 0x5f0f3cf5),
      u16(0, unitsPerEm),
      Buffer.alloc(16),
      u16(0, 0, 0, 0, 0, 8, 2, 0, 0),
    ]),
    hhea: Buffer.concat([u32(0x00010000), u16(ascent, descent, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, glyphs)]),
    hmtx: u16(...Array.from({ length: 2 * glyphs }, () => 0)),
    loca: u16(...Array.from({ length: glyphs + 1 }, () => 0)),
    maxp: Buffer.concat([u32(0x00010000), u16(glyphs, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0)]),
    name: names(['Blank', 'Regular', 'Blank', 'Blank', 'Version 1.0', 'Blank']),
    post: u32(0x00030000, 0, 0, 0, 0, 0, 0, 0),
  }
}

function windowsMetrics(): Buffer {
  return Buffer.concat([
    u16(4, 0, 400, 5, 0, ...Array.from({ length: 11 }, () => 0)),
    Buffer.alloc(10 + 16),
    Buffer.from('NONE'),
    u16(0x40, 0x20, 0xffff, ascent, descent, 0, ascent, -descent),
    u32(1, 0),
    u16(0, 0, 0, 0x20, 0),
  ])
}

/** Returns a name table with these strings as the names 1, 2, 3, …, in English for Windows. */
function names(strings: string[]): Buffer {
  const encoded = strings.map((one) => Buffer.from(one, 'utf16le').swap16())
  let offset = 0
  const records = encoded.map((bytes, i) => {
    const record = u16(3, 1, 0x409, i + 1, bytes.length, offset)
    offset += bytes.length
    return record
  })
  return Buffer.concat([u16(0, strings.length, 6 + 12 * strings.length), ...records, ...encoded])
}

/** Returns numbers of two bytes each, negative ones as their two's complement. */
function u16(...numbers: number[]): Buffer {
  return Buffer.concat(numbers.map((number) => Buffer.from([(number >> 8) & 0xff, number & 0xff])))
}

function u32(...numbers: number[]): Buffer {
  return Buffer.concat(numbers.map((number) => u16(number >>> 16, number & 0xffff)))
}

const padded = (table: Buffer) => Buffer.concat([table, Buffer.alloc(-table.length & 3)])

function checksum(table: Buffer): number {
  const whole = padded(table)
  let sum = 0
  for (let at = 0; at < whole.length; at += 4) sum = (sum + whole.readUInt32BE(at)) >>> 0
  return sum
}

function offsetOf(font: Buffer, tag: string): number {
  return font.readUInt32BE(font.indexOf(tag) + 8)
}

if (import.meta.main) writeFileSync(new URL('../../src/pictures/fonts/blank.ttf', import.meta.url), blankFont())
