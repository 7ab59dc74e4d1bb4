// The texts of the browser scripts, in the format of words.ts. Some of them are also in the pages.

/** The text of a link to the form. The text `notCopied` below quotes it. */
export const change = 'Change style or mood'

/** Moods within a text, such as "Adventurer, in love". */
export const moodTexts: Record<string, string> = {
  happy: 'happy',
  sad: 'sad',
  angry: 'angry',
  surprised: 'surprised',
  neutral: 'neutral',
  playful: 'playful',
  love: 'in love',
  sleepy: 'sleepy',
}

export const previewAlt = 'Your avatar: {look}'

/** The texts of the browser scripts. A page contains them as JSON in an attribute. */
export const scriptWords = {
  locale: 'en-GB',
  look: '{style}, {mood}',
  lookWith: '{look}, with {drawn}',
  nowDrawn: 'Now with {drawn}.',
  moods: moodTexts,
  previewAlt,
  by: 'by {creator}',
  moodAll: '{style} can show them all.',
  moodSome: '{style} can’t look {moods}.',
  moodNone: '{style} has no face, so no mood.',
  /** Hints by the form field of a part that shows a mood. */
  ownParts: {
    eyesVariant: 'The eyes are your own.',
    eyebrowsVariant: 'The eyebrows are your own.',
    mouthVariant: 'The mouth is your own.',
    expressionVariant: 'The expression is your own.',
    moodVariant: 'The mood is your own.',
  },
  lowerEdge: 'At this size its lower edge shows. Under “Adjust”, move it down by {percent} %.',
  edgeToEdge: '{style} fills the whole picture, so there is nothing to zoom out to.',
  still: '{style} doesn’t move. {styles} do.',
  example: 'Yours will look different',
  drawing: 'Drawing…',
  failed: 'Couldn’t draw that one. Showing the last.',
  tryAgain: 'Try again',
  seedTooLong: 'The seed is {count} characters long. Use {most} or fewer.',
  units: { scale: ' %', translateX: ' %', translateY: ' %', rotate: '°', backgroundColorAngle: '°' },
  roll: 'Roll',
  rollLong: 'Roll the dice for a new face',
  rollRest: 'Roll the rest',
  rollRestLong: 'Roll the dice for the rest; your parts stay',
  unpinned: 'All parts are as rolled again.',
  rolled: 'New roll: {seed}',
  backTo: 'Back to {seed}',
  gifDrawing: 'Drawing…',
  gifWait: 'A GIF takes a few seconds to draw.',
  gifQueue: 'Many GIFs are waiting to be drawn. Try again in {seconds} s; the still PNG is ready now.',
  gifFailed: 'We couldn’t draw the GIF. Try again, or take the still PNG.',
  facesShown: 'Twelve faces are shown.',
  leaving: 'Off to Discord…',
  working: 'One moment…',
  copied: 'Copied',
  notCopied: `Could not copy. “${change}” is the same link.`,
  notCopiedText: 'Could not copy. Select the text in the field.',
  rollFirst:
    'amber brave bright calm clever cosy dapper dusty early fuzzy gentle golden happy hidden jolly kind little lucky mellow merry misty nimble noble quiet rusty shy silver sleepy snowy sunny swift tiny velvet wild witty',
  rollSecond:
    'acorn badger biscuit bramble cedar clover comet cricket dune ember fern finch fox gecko hazel heron iris juniper kite lark lemon maple marble moss newt oak otter owl pebble pine plum quail raven river robin sage sparrow thistle tulip walnut willow wren',
}
