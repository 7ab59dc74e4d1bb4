// The texts of "Use it elsewhere" and "Your data" on /show_avatar, in the format of words.ts.

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

export const yourDataWords = {
  title: 'Your data',
  lead: 'We delete it when you have been away for a while. You can also delete it now.',
  more: 'What we keep, and for how long',
  signOut: 'Sign out',
  signOutEverywhere: 'Sign out on all devices',
  signOutHint: 'Signing out also deletes your looks, on each device that is signed out.',
}
