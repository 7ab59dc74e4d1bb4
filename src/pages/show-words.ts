// The texts of /show_avatar, in the format of words.ts.
import { change } from './script-words.ts'

/** A day in UTC, because the visitor's time zone is not known. */
const dayAndMonth = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', timeZone: 'UTC' })

export const showWords = {
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
  noLetters: 'This picture is empty: the style draws letters, and the seed has none.',
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
}

/** The texts about the visitor's own Discord profile. */
export const profileWords = {
  accent: 'Your Discord colour',
  compare: 'Which picture to show',
  after: 'New',
  before: 'Before',
  withDecoration: 'With my decoration',
  nitro: 'You have Nitro, so Discord shows the GIF moving.',
}

/** The texts of the section "Use it elsewhere". */
export const elsewhereWords = {
  title: 'Use it elsewhere',
  lead: 'For webhooks (avatar_url), bots and READMEs. These addresses work for everybody, for as long as this site is here.',
  hasName: 'The seed of this look is your Discord username, so each of these holds your username.',
  picture: 'Picture from this site, PNG',
  pictureHint: 'Add &size={sizes} for another size; it is {size} pixels otherwise.',
  dicebear: 'Picture from DiceBear, SVG',
  dicebearHint:
    'DiceBear’s own server: for non-commercial use, and it promises no uptime. DiceBear sees whoever loads it.',
  terms: 'DiceBear’s terms',
  termsUrl: 'https://www.dicebear.com/how-to-use/http-api/',
  options: 'Options for DiceBear’s library, JSON',
  optionsHint: 'new Avatar(new Style({style}), options), with @dicebear/core and @dicebear/styles 10.',
  copy: 'Copy',
  copyWhat: 'Copy: {what}',
}

/** The texts of the section "Your data". */
export const yourDataWords = {
  title: 'Your data',
  lead: 'We delete it when you have been away for a while. You can also delete it now.',
  more: 'What we keep, and for how long',
  signOut: 'Sign out',
  signOutEverywhere: 'Sign out on all devices',
  signOutHint: 'Signing out also deletes your looks, on each device that is signed out.',
}
