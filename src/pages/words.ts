// The English texts of the pages, without HTML: **two stars** make a text bold, and fill() replaces {name}.
import { fill } from '../../public/js/look.js'
import drawnWords from './drawn-words.json' with { type: 'json' }
import { errorWords, inWords } from './error-words.ts'
import { homeWords } from './home-words.ts'
import { capitalised, partColourTitle, partTitle, variantTitle } from './part-titles.ts'
import { privacyWords } from './privacy-words.ts'
import { moodTexts, scriptWords } from './script-words.ts'
import { elsewhereWords, profileWords, showWords, yourDataWords } from './show-words.ts'

/** A number with a minus sign instead of a hyphen. */
const minus = (number: number) => String(number).replace('-', '−')
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

/** The titles of the choices of `backgroundColorFill`. */
const fills: Record<string, string> = { '': 'One colour', linear: 'Fade across', radial: 'Fade from the middle' }

/** The titles of `framings` (src/avatar/catalogue.ts), by their names. */
const framings: Record<string, string> = { close: 'Close', normal: 'Normal', roomy: 'Roomy' }

/** The titles of the ready-made looks, by their names in src/avatar/looks.json. */
const looks: Record<string, string> = {
  sepia: 'Sepia',
  ink: 'Ink',
  pastel: 'Pastel',
  neon: 'Neon',
  night: 'Night',
  forest: 'Forest',
  sunset: 'Sunset',
  candy: 'Candy',
}

export const words = {
  lang: 'en',
  dir: 'ltr',
  script: scriptWords,

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

  home: homeWords,

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
  fills,
  framings,
  looks,
  drawn: drawnWords,
  partTitle,
  partColourTitle,
  variantTitle,

  /** The titles of the sliders, by their form fields. */
  sliders: { backgroundColorAngle: 'Direction', translateX: 'Sideways', translateY: 'Up and down', rotate: 'Tilt' },

  problems: {
    error: 'Error:',
    summary: (count: number): string => `${capitalised(inWords(count))} ${count === 1 ? 'thing' : 'things'} to fix`,
    seedTooLong: (count: number, most: number): string => fill(scriptWords.seedTooLong, { count, most }),
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
    tooManyVariants: (most: number): string => `The dice can choose among ${most} at most. Untick some, or all.`,
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
    noLooks: 'You have no looks in this browser. Make one here.',
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

  show: showWords,

  errors: errorWords,

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
    may: [
      'Can see your name, username and picture',
      'Can see banner, colour, decoration, nameplate, server tag and Nitro',
    ],
    mayNot: ['Can’t see messages, servers, friends or e-mail', 'Can’t post or change anything'],
    agree: 'Agree and go on',
    decline: 'Decline',
  },
}
