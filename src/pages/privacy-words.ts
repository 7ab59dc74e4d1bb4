// The texts of /privacy, in the format of words.ts. A test compares the names with the keys and cookies of a visit.

/** A row of a table of what is kept. `name` is the beginning of a key in Redis or of a cookie's name. */
type Kept = { what: string; name?: string; place?: string; howLong: string }

const store: Kept[] = [
  {
    what: 'Your session: your Discord id, username, display name, the names of your picture, banner and decoration, your accent colour, nameplate colour, server tag, the number of an old account, and that you have Nitro; Discord’s tokens, encrypted; when you signed in; and the choices behind your last twelve looks and the one that you removed last.',
    name: 'session:',
    howLong: 'Seven days after your last visit, 90 days after your sign-in at most',
  },
  {
    what: 'The random numbers of your sessions, so that all of them can be ended at once, under a keyed hash of your Discord id.',
    name: 'sessions:',
    howLong: '90 days after your last sign-in',
  },
  {
    what: 'What you had chosen when you left for Discord, and an encrypted proof that you are the one who comes back; then how that ended, with the number of your session.',
    name: 'state:',
    howLong: 'Ten minutes, or one more minute once you are back',
  },
  {
    what: 'That a session has ended or moved, under its number, which opens nothing any more; and the number of the next one.',
    name: 'successor:',
    howLong: 'One minute',
  },
  {
    what: 'That you asked to be forgotten, under a keyed hash of your Discord id, so that no sign-in from before comes through.',
    name: 'forgotten:',
    howLong: '11 minutes',
  },
  {
    what: 'That one of your requests is changing your session, or signing you in.',
    name: 'lock:',
    howLong: 'Three seconds',
  },
  {
    what: 'That Discord told us to wait: everybody, or you, under a keyed hash of your Discord id or a hash of the token.',
    name: 'gate:',
    howLong: 'As long as Discord says, an hour at most',
  },
  { what: 'A token that Discord refused, as a hash.', name: 'refused:', howLong: 'Seven days' },
  { what: 'How many of our requests Discord refused; nothing about you.', name: 'invalid:', howLong: 'Ten minutes' },
  { what: 'How often your network address asks us for something.', name: 'limit:', howLong: 'One minute' },
  { what: 'Whether the store works; nothing about you.', name: 'health:', howLong: 'One minute' },
]

const cookies: Kept[] = [
  { what: 'Your session’s number, signed.', name: 'avatar-session', howLong: 'As long as your session' },
  {
    what: 'That it was this browser that left for Discord.',
    name: 'state-',
    howLong: 'Ten minutes, or one more minute once you are back',
  },
  {
    what: 'That Discord shall show its page at your next sign-in: you signed out, or it has something to ask you.',
    name: 'avatar-switch-account',
    howLong: 'One day, or until you sign in',
  },
]

const elsewhere: Kept[] = [
  {
    what: 'The drawing of each look, as a file named by a hash of the choices. It holds neither your name nor your seed, except in styles that draw letters.',
    place: 'Our disk',
    howLong: 'Until newer ones need the room',
  },
  {
    what: 'Pictures and form pages that were asked for lately, with their addresses, and so with the seeds in them; and the network addresses that asked.',
    place: 'Our memory',
    howLong: 'Until newer ones need the room, or a restart',
  },
  {
    what: 'For each request the time, the page without what follows “?”, the answer and how long it took. No network address, no name, no cookie. The page of a look holds the hash of its choices.',
    place: 'Our log',
    howLong: 'As long as the people who run this site keep logs',
  },
  {
    what: 'Copies of what is in the store, if the people who run this site make any.',
    place: 'Backups',
    howLong: 'As long as they keep backups',
  },
]

export const privacyWords = {
  title: 'What we keep, and for how long',
  lead: 'As little as we can: no e-mail address, no messages, no servers, no friends, no ads, no statistics about you.',
  kept: 'What we keep',
  columns: { what: 'What', place: 'Where', howLong: 'How long' },
  groups: [
    { title: 'On our server', place: 'Store', rows: store },
    { title: 'Cookies in your browser', place: 'Cookie', rows: cookies },
    { title: 'Elsewhere on our side', place: '', rows: elsewhere },
  ],
  frontServer: 'The web server in front of this one may keep a log of its own, with your network address.',
  told: 'Who is told what',
  discord:
    '**Discord** learns that you sign in here, and tells us your id, username, display name, picture, and what your profile looks like: banner, accent colour, decoration, nameplate, server tag, and whether you have Nitro. Your browser loads picture, banner and decoration from Discord, which is not told the page that you are on. When you sign out, we tell Discord to end our access.',
  dicebear:
    '**DiceBear**, at {host}, draws the looks. It is told the style, the seed and the other choices of a look that you make. If you use your Discord username instead of a word, **the seed is your Discord username**. DiceBear is not told who or where you are.',
  embedded: '**Nobody else.** This site draws all looks itself; DiceBear hears nothing.',
  demo: '**In this demo** stand-ins on our own server play Discord and DiceBear. Neither hears from you.',
  links:
    '**Whoever has a link to a look** sees its seed, so the page says so where a link holds your username. Bots that load its picture from us are told nothing more.',
  nobody: 'Nobody else is told anything.',
  deletion: 'How to have it deleted',
  deletionText:
    'Your session and your looks are deleted automatically, as the table says. To delete them now, sign in and use “Forget me”, here or on the page with your looks.',
  deletionLeft:
    'The rest stays for as long as the table says: notes and counts, which do not name you; what you chose in another browser that is at Discord just now; pages and pictures in our memory, whose addresses may hold your username as the seed; logs and backups. So do drawings that had left your list before, and drawings on the disks of other servers, if several run this site.',
  ask: 'Who to ask',
  contact: 'Ask the people who run this site:',
  noContact: 'The people who run this site have left no address here.',
  policy: 'Their own privacy policy:',
  forget: {
    title: 'Forget me',
    hint: 'On all your devices: signs you out, deletes your looks, and has Discord end our access. It can’t be undone.',
    sure: 'Yes, forget me',
  },
  back: 'Make an avatar',
}
