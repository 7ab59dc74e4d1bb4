// The English texts of the pages. They contain no HTML: **two stars** around a text make it bold, and fill() replaces
// {name}.
import { fill } from '../../public/js/look.js'
import drawnWords from './drawn-words.json' with { type: 'json' }
import { elsewhereWords, yourDataWords } from './elsewhere-words.ts'
import { capitalised, partColourTitle, partTitle, variantTitle } from './part-titles.ts'
import { privacyWords } from './privacy-words.ts'
import { profileWords } from './profile-words.ts'

const numbers = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten']
const inWords = (count: number) => numbers[count] ?? String(count)
const seconds = (count: number) => (count === 1 ? 'second' : 'seconds')
/** A time to wait, in words: in seconds up to 90 seconds, then in minutes. */
const duration = (count: number) => (count > 90 ? `${Math.ceil(count / 60)} minutes` : `${count} ${seconds(count)}`)
/** A number with a minus sign instead of a hyphen. */
const minus = (number: number) => String(number).replace('-', '−')
/** A day in UTC, because the visitor's time zone is not known. */
const dayAndMonth = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', timeZone: 'UTC' })

/** The text of a link. The text `notCopied` quotes it. */
const change = 'Change style or mood'

/** Moods within a text, such as "Adventurer, in love". */
const moodTexts: Record<string, string> = {
  happy: 'happy',
  sad: 'sad',
  angry: 'angry',
  surprised: 'surprised',
  neutral: 'neutral',
  playful: 'playful',
  love: 'in love',
  sleepy: 'sleepy',
}

const moodTitles: Record<string, string> = {
  happy: 'Happy',
  sad: 'Sad',
  angry: 'Angry',
  surprised: 'Surprised',
  neutral: 'Neutral',
  playful: 'Playful',
  love: 'Love',
  sleepy: 'Sleepy',
}

/** The titles of the colours, by their names in `palette` (src/avatar/catalogue.ts). */
const colours: Record<string, string> = {
  apricot: 'Apricot',
  coral: 'Coral',
  blossom: 'Blossom',
  lilac: 'Lilac',
  sky: 'Sky',
  mint: 'Mint',
  cream: 'Cream',
  pine: 'Pine',
  harbour: 'Harbour',
  plum: 'Plum',
  slate: 'Slate',
}

const previewAlt = 'Your avatar: {look}'

/** The texts of the browser scripts, which the page contains as JSON in an attribute. */
const script = {
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

export const words = {
  lang: 'en',
  dir: 'ltr',
  script,

  site: {
    name: 'Avatar generator',
    description: 'Make a new avatar for Discord: 61 styles, eight moods, any colour. See it at once, then download it.',
    demo: '**Demo.** Discord and DiceBear are played by stand-ins here; neither hears from you.',
    errorInTitle: 'Error: {title}',
    drawnWith: 'Drawn with ',
    notTheirs: '. Not made by Discord or DiceBear.',
    privacy: 'What we keep',
    whoDrew: 'Who drew the styles',
    yourLooks: 'Your looks',
    signOut: 'Sign out',
    signOutHint: 'deletes looks',
    signedInAs: 'Signed in as',
  },

  home: {
    title: 'Make a new face for Discord',
    lead: 'Pick a style and a mood, see it at once, then see yourself wearing it.',
    form: 'Your look',
    style: 'Style',
    styleHint: 'Each picture is your avatar in that style.',
    filter: 'Show',
    animated: 'Animate',
    animatedHint: '({count} styles; Discord needs Nitro)',
    moves: 'can move',
    mood: 'Mood',
    anyMood: 'Any',
    background: 'Background',
    backgroundHint: 'See-through: dark in Discord’s dark theme, white in its light one.',
    none: 'See-through',
    stylesOwn: 'The style’s own',
    faint: 'Hard to see on this background. Better:',
    gradient: '{first} and {second}',
    fill: 'One colour or two',
    secondColour: 'Second colour',
    firstColourMissing: 'Pick a first colour above, too.',
    parts: 'Parts',
    partsHint: 'Choose what you like; the dice decide the rest.',
    moreParts: 'More',
    asRolled: 'As rolled',
    noPart: 'None',
    ofAnyKind: 'Any {kind}',
    severalOf: 'One of {count}',
    several: 'Pick several; the dice choose among them',
    yours: 'Yours: {parts}',
    readyLooks: 'Ready-made colours',
    unpin: 'All as rolled again',
    framing: 'Framing',
    adjust: 'Adjust',
    scale: 'Size',
    ownScale: 'Your own size',
    mirror: 'Mirror it',
    cut: 'The circle cuts off some of this one.',
    fit: 'Make it fit',
    ownColour: 'Your own colour',
    otherColour: 'As you wrote it: {colour}',
    seed: 'Name or word',
    seedHint: 'Same word, same face.',
    thisWord: 'The face of this word',
    fromUsername: 'Use my Discord username',
    fromUsernameHint: '(then yours will differ from this one)',
    openFaces: 'More faces',
    moreFaces: 'Twelve more',
    faces: 'Twelve faces',
    lastRolls: 'Last rolls',
    preview: 'Preview',
    previewAlt,
    sizes: 'The avatar at 80, 40 and 32 pixels',
    circle: 'Discord shows only what is inside the circle.',
    next: 'Continue',
    nextWith: ' with Discord',
    promise:
      'We read your name, username, picture and what your profile looks like (banner, colour, decoration, nameplate, server tag, Nitro), and keep nothing else. We can’t post or change anything.',
    update: 'Update',
    updateWhat: ' the picture',
    startOver: 'Start over',
  },

  groups: {
    popular: 'Popular',
    people: 'People',
    faces: 'Faces',
    creatures: 'Creatures',
    shapes: 'Shapes',
    text: 'Text',
    moving: 'Moving',
    all: 'All',
  },

  moods: moodTitles,
  colours,

  /** The titles of the choices of `backgroundColorFill`. */
  fills: { '': 'One colour', linear: 'Fade across', radial: 'Fade from the middle' } as Record<string, string>,

  drawn: drawnWords,

  partTitle,
  partColourTitle,
  variantTitle,

  /** The titles of the ready-made looks, by their names in src/avatar/looks.json. */
  looks: {
    sepia: 'Sepia',
    ink: 'Ink',
    pastel: 'Pastel',
    neon: 'Neon',
    night: 'Night',
    forest: 'Forest',
    sunset: 'Sunset',
    candy: 'Candy',
  } as Record<string, string>,

  /** The titles of `framings` (src/avatar/catalogue.ts), by their names. */
  framings: { close: 'Close', normal: 'Normal', roomy: 'Roomy' } as Record<string, string>,

  /** The titles of the sliders, by their form fields. */
  sliders: { backgroundColorAngle: 'Direction', translateX: 'Sideways', translateY: 'Up and down', rotate: 'Tilt' },

  problems: {
    error: 'Error:',
    summary: (count: number): string => `${capitalised(inWords(count))} ${count === 1 ? 'thing' : 'things'} to fix`,
    seedTooLong: (count: number, most: number): string => fill(script.seedTooLong, { count, most }),
    controlCharacter: (field: string): string =>
      `There is a character in ${field} that can’t be shown. Type it again, on one line.`,
    styleMissing: 'Choose a style.',
    styleUnknown: (style: string): string => `“${style}” is not one of our styles. Choose a style.`,
    colourWrong: (text: string): string => `“${text}” is not a colour code. Use six digits such as #ffd29d.`,
    moodLacking: (style: string, mood: string): string =>
      `${style} can’t look ${moodTexts[mood] ?? mood}. Choose another mood or style.`,
    moodUnknown: (mood: string): string => `“${mood}” is not one of our moods. Choose one of those below.`,
    animatedWrong: 'Tick “Animate”, or leave it unticked.',
    outOfRange: (field: string, min: number, max: number): string =>
      `Set ${field} to a number from ${minus(min)} to ${minus(max)}.`,
    notOffered: (field: string): string => `Choose ${field} from what is offered.`,
    repeated: (field: string): string => `The form sent ${field} twice. Choose it once.`,
    /** How messages call a part or colour, by its form field: "the facial hair", "the skin colour". */
    pins: (field: string): string =>
      `the ${field
        .replace(/Variant$/, '')
        .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
        .replace(/ color$/, ' colour')}`,
    fields: {
      seed: 'the seed',
      style: 'the style',
      backgroundColor: 'the background',
      mood: 'the mood',
      animated: '“Animate”',
      backgroundColorFill: 'the kind of background',
      backgroundColor2: 'the second colour',
      backgroundColorAngle: 'the angle of the background',
      scale: 'the size',
      translateX: 'the shift to the right',
      translateY: 'the shift down',
      rotate: 'the tilt',
      flip: 'the mirror',
    },
  },

  notices: {
    declined: 'You cancelled at Discord. Nothing was shared; your choices are still here.',
    badLink: 'Part of that link made no sense to us; the rest is filled in.',
    noLooks: 'You have no looks yet. Make your first one here.',
    removedLast: 'Removed your last look.',
    noSession:
      'You signed in, but your browser did not keep our cookie. Allow cookies for this site, check your device’s clock, and try again.',
    signedOut: 'You are signed out. Your looks, and what Discord told us about you, are gone from here.',
    otherAddress: 'Signing in works only at this address, so we brought you here. Your choices came along.',
    signInAgain: 'Discord wants you to sign in again before we go on. Your choices are still here.',
    forgotten:
      'We have forgotten you: your sign-ins on all devices, your looks and your name are gone, and Discord knows that you left.',
    signedOutEverywhere: 'You are signed out on all devices. Your looks there are gone, too.',
    notSignedIn: 'You are not signed in here, so we cannot tell who you are. Sign in first, then try again.',
  },

  show: {
    title: 'Looking good, {name}',
    pageTitle: '{look} · Looking good, {name}',
    lead: '{look}, from the seed “{seed}”.',
    alt: 'Your avatar: {look}',
    nowAlt: 'Your picture on Discord now',
    now: 'On Discord now',
    nowHint: 'It stays until you upload the new one yourself.',
    download: 'Download for Discord',
    downloads: 'Downloads',
    sizeName: 'PNG, {size} pixels',
    downloadShort: 'Download',
    share: 'Save or share',
    faces: 'Pick another face',
    still: 'Still PNG',
    moving: 'Moving GIF (Nitro)',
    svg: 'SVG',
    svgName: 'SVG, the drawing itself',
    downloadHint: '512 px PNG, right for Discord.',
    others: 'Other sizes',
    gifHint: 'With Nitro, Discord shows the GIF moving; without, it keeps the first frame only.',
    noFont: 'No font here has {letters}. The PNG leaves that out, even if your browser shows it above.',
    remixed: ', remixed.',
    creditBy: ' by ',
    none: 'See-through: dark in Discord’s dark theme, white in its light one.',
    where: 'Where people will see it',
    dark: 'Dark theme',
    light: 'Light theme',
    whereAlt: 'Your avatar in a chat message, the list of members, a profile card and a voice call.',
    friend: 'kit',
    friendSays: 'new picture?',
    youSay: 'yes! had to roll the dice a few times',
    otherFriend: 'lena',
    steps: 'Wear it in three steps',
    onPhone: {
      title: 'On a phone',
      steps: [
        'Save the picture with the button at the top.',
        'In Discord tap **your picture**, then **Edit Profile**, then the picture.',
        'Choose the one you saved, and **save**.',
      ],
    },
    onComputer: {
      title: 'On a computer',
      steps: [
        'Download the picture with the button at the top.',
        'In Discord open **User Settings**, then **Profiles**.',
        'Choose **Change Avatar**, pick the file, and **save**.',
      ],
    },
    restyle: 'Not quite you yet?',
    restyleHint: 'Change what you like. No need to sign in again.',
    change,
    copy: 'Copy link to this look',
    copyHint: 'This face is drawn from your username, so a link to it has your username in it.',
    copyWithName: 'Copy with your username in it',
    copyWithoutName: 'Copy without it: each gets a face of their own',
    here: 'Or change it right here',
    make: 'Make this one',
    history: 'Your last looks',
    historyHint: (until: Date): string =>
      `Your last 12 looks stay until ${dayAndMonth.format(until)}: seven days after your last visit. The oldest make room for new ones; starred ones stay.`,
    keptFull: 'Six looks have a star, and six is the most. Take one away to star another.',
    removed: 'Removed {look}, from the seed “{seed}”.',
    undo: 'Undo',
    historyEmpty: 'Your next look will wait here.',
    fromSeed: ' from the seed “{seed}”',
    downloadOne: 'Download {look}, from the seed “{seed}”',
    keepOne: 'Keep {look}, from the seed “{seed}”',
    unkeepOne: 'Stop keeping {look}, from the seed “{seed}”',
    removeOne: 'Remove {look}, from the seed “{seed}”',
  },

  errors: {
    ask: 'If this goes on, ask {contact}.',
    number: 'The number of this error is {number}.',
    yourLook: 'Your look',
    style: 'Style',
    mood: 'Mood',
    background: 'Background',
    seed: 'Seed',
    yourUsername: 'your username',
    tryAgain: 'Try again',
    tryAgainInSeconds: 'Try again in {count} s',
    tryAgainInMinutes: 'Try again in {count} min',
    back: 'Back to the form',
    start: 'Go to the form',
    crossSiteRequest: {
      title: 'That came from another site',
      advice: 'We only take this form from our own page, to keep you safe. Open the form here and send it again.',
    },
    notFound: {
      title: 'There is nothing here',
      advice: 'The address may be mistyped, or what was here is gone. The form is still where it was.',
    },
    methodNotAllowed: {
      title: 'This page can’t do that',
      advice: 'It is there, but not for this kind of request. Start from the form.',
    },
    unsupportedMediaType: {
      title: 'That was not our form',
      advice: 'We can only read what the form sends. Please fill it in here.',
    },
    tooLarge: {
      title: 'That was too much at once',
      advice: 'What was sent is longer than our form can be. Please use the form as it is.',
    },
    headersTooLarge: {
      title: 'That was too long to read',
      advice:
        'The address, or the cookies sent along with it, are longer than we can take. Start from the form; if that is refused too, delete the cookies of this site.',
    },
    requestTimeout: {
      title: 'We stopped waiting',
      advice: 'What you asked did not reach us in time. Nothing was changed; please try again.',
    },
    invalidValues: {
      title: 'That made no sense to us',
      advice: 'Part of what was asked is missing or wrong. Start from the form.',
    },
    unknownState: {
      title: 'We lost track of your visit',
      advice:
        'You came back in another browser (the Discord app opens its own), your browser blocks our cookies, it took longer than ten minutes, or this page was opened twice. Please start again here; your look is kept where we still have it.',
      yourLooks: 'See your looks',
    },
    signInFailed: {
      title: 'The sign-in did not work',
      advice: 'Discord could not finish it. Nothing was changed. Please start again; your look is kept.',
    },
    grantRefused: {
      title: 'We lost track of your visit',
      advice: 'Discord no longer knows this sign-in. Please start again; your look is kept.',
    },
    discordRefusedClient: {
      title: 'Discord turned us away',
      advice: 'That is our mistake, not yours, and we have noted it. Your choices are safe; please try again later.',
    },
    discordUnavailable: {
      title: 'Discord is not answering',
      advice: 'We could not reach it. That is Discord’s side, not yours. Your choices are safe.',
    },
    discordTimeout: (count: number) => ({
      title: 'Discord is not answering',
      advice: `We asked who you are and heard nothing for ${inWords(count)} ${seconds(count)}. That is Discord’s side, not yours. Your choices are safe.`,
    }),
    discordCircuitOpen: {
      title: 'Discord is not answering',
      advice:
        'It has just kept others waiting, so we did not ask it for you. That is Discord’s side, not yours. Your choices are safe: try again in a few seconds.',
    },
    discordRateLimited: (count: number) => ({
      title: 'Too many people at once',
      advice: `Discord asks us to wait. Try again in ${duration(count)}; your choices are safe.`,
    }),
    rateLimited: (count: number) => ({
      title: 'That was very fast',
      advice: `Too many requests came from your address. Try again in ${duration(count)}: go back to the page before, what you chose is still there.`,
    }),
    tooManySignIns: (count: number) => ({
      title: 'Many people are signing in',
      advice: `They are more than we can take at once. Try again in ${duration(count)}; your choices are safe.`,
    }),
    overloaded: (count: number) => ({
      title: 'Many pictures at once',
      advice: `We are still drawing those of others. Try again in ${duration(count)}; your choices are safe.`,
    }),
    picturesUnavailable: {
      title: 'We can’t draw this one right now',
      advice:
        'Something that makes PNGs and GIFs is missing on our side, and we have noted it. The SVG is still there.',
    },
    storeUnavailable: (count: number) => ({
      title: 'We can’t reach our memory',
      advice: `Something of ours is down for a moment. Try again in ${duration(count)}; your choices are safe.`,
    }),
    unexpectedError: {
      title: 'Something broke on our side',
      advice: 'We have noted it. Nothing of yours was changed; please try again.',
    },
  },

  profile: profileWords,
  elsewhere: elsewhereWords,
  yourData: yourDataWords,
  privacy: privacyWords,

  licences: {
    title: 'Who drew the styles',
    lead: 'Every avatar here is drawn by DiceBear in a style that somebody made and gave away. Thank you.',
    attribution: '{count} of the {all} styles ask for a credit; we give one to all of them.',
    fonts: 'Letters in PNG and GIF are drawn with the DejaVu fonts and with Noto fonts (SIL Open Font License 1.1).',
    back: 'Make an avatar',
    sourceName: '“{title}”',
    by: 'by ',
    asks: 'asks for credit',
  },

  consent: {
    title: 'Let “{app}” know who you are?',
    rehearsal:
      '**A rehearsal, not Discord.** The demo plays Discord’s part, so that you can walk the whole way without an account.',
    accounts: 'Who do you want to be?',
    may: ['Sees name, username and picture', 'Sees banner, colour, decoration, nameplate, server tag and Nitro'],
    mayNot: ['Sees no messages, servers, friends or e-mail', 'Can’t post or change anything'],
    yes: 'Yes:',
    no: 'No:',
    agree: 'Agree and go on',
    decline: 'Decline',
  },
}
