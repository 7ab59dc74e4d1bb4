// The texts of "Use it elsewhere" and "Your data" on the avatar page, in the format of words.ts.

export const elsewhereWords = {
  title: 'Use it elsewhere',
  lead: 'For webhooks (avatar_url), bots and READMEs. These addresses work for everybody, for as long as this site is here.',
  hasName: 'The seed of this look is your Discord username, so each of these holds your username.',
  picture: 'Picture from this site, PNG',
  pictureHint: 'Add &size=128, 256 or 1024 for another size; it is 512 pixels otherwise.',
  dicebear: 'Picture from DiceBear, SVG',
  dicebearHint:
    'DiceBear’s own server: for non-commercial use, and it promises no uptime. Whoever loads it is known to DiceBear.',
  terms: 'DiceBear’s terms',
  termsUrl: 'https://www.dicebear.com/how-to-use/http-api/',
  options: 'Options for DiceBear’s library, JSON',
  optionsHint: 'new Avatar(new Style({style}), options), with @dicebear/core and @dicebear/styles 10.',
  copy: 'Copy',
  copyWhat: 'Copy: {what}',
}

export const yourDataWords = {
  title: 'Your data',
  lead: 'It goes by itself when you stay away. You need not wait for that.',
  more: 'What we keep, and for how long',
  signOut: 'Sign out',
  signOutEverywhere: 'Sign out on all devices',
  signOutHint: 'Your looks go with it, on each device that you sign out.',
}
