import { expect, test } from 'vitest'
import { StoreUnavailable } from '../../src/errors.ts'
import { logSerializers } from '../../src/log.ts'

const secret = 'MTk4NjIyNDgzNDcxOTI1MjQ4'

test('of an error that caused one of ours the log has type and code, and not the message, which may quote a secret', () => {
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

test('of an error that nobody expected the log has the stack', () => {
  const { type, message, stack } = logSerializers.err(new TypeError('not a function'))
  expect([type, message]).toEqual(['TypeError', 'not a function'])
  expect(stack).toContain('log.test.ts')
})

test('of what is thrown and is no error the log has the type, and the text that the Redis client reports', () => {
  expect(logSerializers.err('no sentinel answers')).toEqual({ type: 'string', message: 'no sentinel answers' })
  expect(logSerializers.err({ secret })).toEqual({ type: 'object' })
  expect(logSerializers.err(new Error('failed', { cause: secret }))).toMatchObject({ cause: { type: 'string' } })
  expect(JSON.stringify(logSerializers.err(new Error('failed', { cause: secret })))).not.toContain(secret)
})
