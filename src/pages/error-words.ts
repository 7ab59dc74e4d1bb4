// The texts of the error pages, in the format of words.ts.

const numbers = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten']
export const inWords = (count: number) => numbers[count] ?? String(count)
const seconds = (count: number) => (count === 1 ? 'second' : 'seconds')
/** A time to wait, in words: in seconds up to 90 seconds, then in minutes. */
const duration = (count: number) => (count > 90 ? `${Math.ceil(count / 60)} minutes` : `${count} ${seconds(count)}`)

export const errorWords = {
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
    advice: 'The page is there, but not for this kind of request. Start from the form.',
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
      'The address or the cookies of this site are longer than we can read. Start from the form. If that is refused, too, delete the cookies.',
  },
  requestTimeout: {
    title: 'We stopped waiting',
    advice: 'Your request did not reach us in time. Nothing was changed; please try again.',
  },
  invalidValues: {
    title: 'That made no sense to us',
    advice: 'Part of the request is missing or wrong. Start from the form.',
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
    advice: `Too many requests came from your address. Try again in ${duration(count)}. Go back to the page before; what you chose is still there.`,
  }),
  tooManySignIns: (count: number) => ({
    title: 'Many people are signing in',
    advice: `Right now there are more than we can serve. Try again in ${duration(count)}; your choices are safe.`,
  }),
  overloaded: (count: number) => ({
    title: 'Many pictures at once',
    advice: `We are still drawing those of others. Try again in ${duration(count)}; your choices are safe.`,
  }),
  picturesUnavailable: {
    title: 'We can’t draw this one right now',
    advice: 'Something that makes PNGs and GIFs is missing on our side, and we have noted it. The SVG is still there.',
  },
  storeUnavailable: (count: number) => ({
    title: 'We can’t reach our memory',
    advice: `A part of our site is down, which is our fault. Try again in ${duration(count)}; your choices are safe.`,
  }),
  unexpectedError: {
    title: 'Something broke on our side',
    advice: 'We have noted it. Nothing of yours was changed; please try again.',
  },
}
