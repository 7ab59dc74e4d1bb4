import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Overloaded } from '../../src/errors.ts'
import { drawingLine } from '../../src/pictures/queue.ts'

/** Drawings that end when they are told to. */
function slowly() {
  const begun: number[] = []
  const ends: (() => void)[] = []
  const draw = (number: number) => () => {
    begun.push(number)
    return new Promise<number>((resolve) => ends.push(() => resolve(number)))
  }
  return { begun, draw, endNext: () => ends.shift()?.() }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

test('only so many are drawn at once, the others in the order in which they came', async () => {
  const line = drawingLine({ atOnce: 2, longest: 10 })
  const { begun, draw, endNext } = slowly()
  const drawn = [1, 2, 3, 4].map((number) => line(draw(number)))
  await turns(5)
  expect(begun).toEqual([1, 2])
  endNext()
  await turns(5)
  expect(begun).toEqual([1, 2, 3])
  for (let i = 0; i < 3; i++) {
    endNext()
    await turns(5)
  }
  expect(await Promise.all(drawn)).toEqual([1, 2, 3, 4])
})

test('who comes when the line is full is told so at once, and may come again', async () => {
  const line = drawingLine({ atOnce: 1, longest: 2 })
  const { draw, endNext } = slowly()
  const drawn = [1, 2, 3].map((number) => line(draw(number)))
  await expect(line(draw(4))).rejects.toThrow(Overloaded)
  await turns(5)
  endNext()
  await turns(5)
  drawn.push(line(draw(5)))
  for (let i = 0; i < 3; i++) {
    endNext()
    await turns(5)
  }
  expect(await Promise.all(drawn)).toEqual([1, 2, 3, 5])
})

test('of one client only so many are drawn at once, and another one is not behind the rest', async () => {
  const line = drawingLine({ atOnce: 3, each: 2, longest: 10 })
  const { begun, draw, endNext } = slowly()
  const drawn = [1, 2, 3, 4].map((number) => line(draw(number), 'hasty'))
  await turns(5)
  expect(begun).toEqual([1, 2])
  drawn.push(...[5, 6].map((number) => line(draw(number), 'patient')))
  await turns(5)
  expect(begun).toEqual([1, 2, 5])
  for (let i = 0; i < 6; i++) {
    endNext()
    await turns(5)
  }
  expect(begun).toEqual([1, 2, 5, 6, 3, 4])
  expect(await Promise.all(drawn)).toEqual([1, 2, 3, 4, 5, 6])
})

test('whoever waits among many clients counts, until there is room again', async () => {
  const line = drawingLine({ atOnce: 2, each: 1, longest: 2 })
  const { draw, endNext } = slowly()
  const drawn = [1, 2, 3, 4].map((number) => line(draw(number), 'hasty'))
  await expect(line(draw(5), 'patient')).rejects.toThrow(Overloaded)
  await turns(5)
  endNext()
  await turns(5)
  drawn.push(line(draw(6), 'patient'))
  for (let i = 0; i < 4; i++) {
    endNext()
    await turns(5)
  }
  expect(await Promise.all(drawn)).toEqual([1, 2, 3, 4, 6])
})

test('a drawing that fails holds nobody up', async () => {
  const line = drawingLine({ atOnce: 1, longest: 10 })
  const failed = line(async () => {
    throw new Error('no picture')
  })
  const after = line(async () => 'a picture')
  await expect(failed).rejects.toThrow('no picture')
  expect(await after).toBe('a picture')
})
