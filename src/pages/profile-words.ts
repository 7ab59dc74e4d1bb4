// What the avatar's page says of the visitor's own profile at Discord, by the habits of words.ts.

export const profileWords = {
  accent: 'Your Discord colour',
  compare: 'Which picture to show',
  after: 'New',
  before: 'Before',
  withDecoration: 'With my decoration',
  nitro: 'You have Nitro, so Discord shows the GIF moving.',
}
