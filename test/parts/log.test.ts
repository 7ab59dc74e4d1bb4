import { expect, test } from 'vitest'
import { StoreUnavailable } from '../../src/errors.ts'
import { logSerializers } from '../../src/log.ts'

const secret = 'MTk4NjIyNDgzNDcxOTI1MjQ4'

test('the log has type and code of the cause of an error, and not its message, which may quote a secret', () => {
  const quoting = Object.assign(new SyntaxError(`Unexpected token in "${secret}"`), { code: 'ERR_QUOTED' })
  const middle = new StoreUnavailable('Redis refused a command', { cause: quoting })
  const logged = logSerializers.err(new StoreUnavailable('no session', { cause: middle }))
  expect(logged).toEqual({
    type: 'StoreUnavailable',
    message: 'no session',
    cause: {
      type: 'StoreUnavailable',
      message: 'Redis refused a command',
      cause: { type: 'SyntaxError', code: 'ERR_QUOTED' },
    },
  })
})

test('the log has the stack of an unexpected error', () => {
  const { type, message, stack } = logSerializers.err(new TypeError('not a function'))
  expect([type, message]).toEqual(['TypeError', 'not a function'])
  expect(stack).toContain('log.test.ts')
})

test('the log has the type of a thrown value that is no error, and the text that the Redis client throws', () => {
  expect(logSerializers.err('no sentinel answers')).toEqual({ type: 'string', message: 'no sentinel answers' })
  expect(logSerializers.err({ secret })).toEqual({ type: 'object' })
  expect(logSerializers.err(new StoreUnavailable('down', { cause: Object.assign(new Error(), { code: 5 }) }))).toEqual({
    ...{ type: 'StoreUnavailable', message: 'down', cause: { type: 'Error' } },
  })
  expect(logSerializers.err(new Error('failed', { cause: secret }))).toMatchObject({ cause: { type: 'string' } })
  expect(JSON.stringify(logSerializers.err(new Error('failed', { cause: secret })))).not.toContain(secret)
})
