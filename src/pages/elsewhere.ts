import type { Avatar } from '../avatar/avatars.ts'
import { dicebearOptions } from '../avatar/choice.ts'
import { publicApiUrl, svgUrl } from '../avatar/dicebear.ts'
import type { Config } from '../config.ts'
import { defaultPngSize, otherPngSizes } from './avatar-files.ts'
import { lookQuery } from './look.ts'
import { words } from './words.ts'

const anyOf = new Intl.ListFormat(words.script.locale, { type: 'disjunction' })

/** The values of "Use it elsewhere": addresses that need no session, and options for DiceBear's library. */
export function elsewhereView({ baseUrl }: Config, { choice, seedTyped }: Avatar) {
  return {
    hasName: !seedTyped,
    pictureUrl: `${baseUrl}/look.png?${lookQuery({ ...choice, animated: false })}`,
    pictureSizes: { sizes: anyOf.format(otherPngSizes), size: defaultPngSize },
    dicebearUrl: svgUrl(publicApiUrl, choice),
    options: JSON.stringify(dicebearOptions(choice), null, 2),
  }
}
