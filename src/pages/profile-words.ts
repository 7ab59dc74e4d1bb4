// The texts about the visitor's own Discord profile on /show_avatar, in the format of words.ts.

export const profileWords = {
  accent: 'Your Discord colour',
  compare: 'Which picture to show',
  after: 'New',
  before: 'Before',
  withDecoration: 'With my decoration',
  nitro: 'You have Nitro, so Discord shows the GIF moving.',
}
