import { type createClient, defineScript } from 'redis'

/** Whether a lock is kept or released after the write. */
export type LockAfter = 'keep' | 'release'

/** A Lua script, which Redis executes in one atomic step. Its first parameters are keys, which must share a slot. */
function script<Parameters extends (string | number)[], Reply>(keys: number, lua: string) {
  return defineScript({
    NUMBER_OF_KEYS: keys,
    SCRIPT: lua,
    parseCommand(parser, ...parameters: Parameters) {
      const texts = parameters.map(String)
      parser.pushKeys(texts.slice(0, keys))
      parser.push(...texts.slice(keys))
    },
    transformReply: (reply: Reply) => reply,
  })
}

export const scripts = {
  /** Returns count and TTL in milliseconds. The TTL is set in the same step, so that no key is left without one. */
  count: script<[key: string, hits: number, windowMs: number], number[]>(
    1,
    `local total = redis.call('INCRBY', KEYS[1], ARGV[1])
    if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    return { total, redis.call('PTTL', KEYS[1]) }`,
  ),
  setForAtLeast: script<[key: string, value: string, ttlS: number], unknown>(
    1,
    `if redis.call('PTTL', KEYS[1]) < 1000 * ARGV[2] then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end`,
  ),
  /** Returns 1 if the value was set, 0 if the key `mark` exists. */
  setUnless: script<[key: string, mark: string, value: string, ttlS: number], number>(
    2,
    `if redis.call('GET', KEYS[2]) then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
    return 1`,
  ),
  // The next three scripts compare and act in one atomic step, because between a GET and a SET another client could
  // take the lock. https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
  /** Returns 1 if the key had this value and now has a new TTL. */
  expireIfEqual: script<[key: string, value: string, ttlS: number], number>(
    1,
    `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end
    return 0`,
  ),
  /** Returns 1 if the key had this value and is now deleted. */
  deleteIfEqual: script<[key: string, value: string], number>(
    1,
    `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0`,
  ),
  /** Returns 1 if the value was replaced, 0 if the key does not exist, -1 if the lock has another owner. */
  replaceIfLocked: script<
    [lock: string, key: string, owner: string, value: string, ttlS: number, then: LockAfter],
    number
  >(
    2,
    `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
    if not redis.call('SET', KEYS[2], ARGV[2], 'XX', 'EX', ARGV[3]) then return 0 end
    if ARGV[4] == 'release' then redis.call('DEL', KEYS[1]) end
    return 1`,
  ),
  /** Returns PEXPIRETIME of the key `mark`, and then the oldest items, those beyond `max`. */
  addToList: script<[key: string, mark: string, item: string, max: number, ttlS: number], (string | number)[]>(
    2,
    `redis.call('LPUSH', KEYS[1], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    return { redis.call('PEXPIRETIME', KEYS[2]), unpack(redis.call('LRANGE', KEYS[1], ARGV[2], -1)) }`,
  ),
}

type Client = ReturnType<typeof createClient<Record<string, never>, Record<string, never>, typeof scripts>>

/** The commands and scripts that this app uses. The clients of server, cluster and sentinels have them. */
export type Commands = Pick<
  Client,
  | keyof typeof scripts
  | ('get' | 'getEx' | 'getDel' | 'mGet' | 'set' | 'del' | 'pTTL' | 'pExpireTime' | 'lRange' | 'lRem' | 'ping')
>

/**
 * Tries every command that this app uses, on keys that are used for nothing else. Rejects if Redis refuses one, for
 * example because the app lacks permission. The replies are ignored, because other instances use the same keys.
 */
export async function tryCommands(redis: Commands, key: string): Promise<void> {
  const [value, ttlS] = ['tried', 60]
  const expiration = { type: 'EX' as const, value: ttlS }
  await Promise.all([
    redis.set(key, value, { expiration, GET: true }),
    redis.getEx(key, expiration),
    redis.get(key),
    redis.mGet([key]),
    redis.pTTL(key),
    redis.setForAtLeast(key, value, ttlS),
    redis.setUnless(`{${key}}:set`, key, value, ttlS),
    redis.expireIfEqual(key, value, ttlS),
    redis.replaceIfLocked(key, key, value, value, ttlS, 'release'),
    redis.deleteIfEqual(key, value),
    redis.pExpireTime(key),
    redis.addToList(`{${key}}:list`, key, value, 1, ttlS),
    redis.lRange(`{${key}}:list`, 0, -1),
    redis.lRem(`{${key}}:list`, 0, value),
    redis.del(`{${key}}:count`), // so that the next count begins at 0, and sets the TTL
    redis.count(`{${key}}:count`, 1, 1000 * ttlS),
    redis.getDel(key),
  ])
}
