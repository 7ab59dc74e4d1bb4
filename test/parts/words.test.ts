// What the texts of the pages say. Other tests find these texts in their places by their names.
import { expect, onTestFinished, test, vi } from 'vitest'
import { moods, styles } from '../../src/avatar/catalogue.ts'
import { inWords } from '../../src/pages/error-words.ts'
import { words } from '../../src/pages/words.ts'

/** For each text, by its name in words.ts, what its reader must learn from it. */
const said: Record<string, Record<string, string>> = {
  site: {
    name: 'Avatar generator',
    description: `${styles.length} styles, ${inWords(moods.length)} moods`,
    demo: 'Discord and DiceBear are played by stand-ins here; neither hears from you',
    drawnWith: 'Drawn with ',
    notTheirs: 'Not made by Discord or DiceBear',
    privacy: 'What we keep',
    whoDrew: 'Who drew',
    yourLooks: 'Your looks',
    signOut: 'Sign out',
    signOutHint: 'deletes looks',
    signedInAs: 'Signed in as',
  },
  home: {
    title: 'a new face for Discord',
    lead: 'Pick a style and a mood',
    styleHint: 'in that style',
    filter: 'Show',
    animated: 'Animate',
    animatedHint: 'Discord needs Nitro',
    moves: 'can move',
    style: 'Style',
    mood: 'Mood',
    background: 'Background',
    parts: 'Parts',
    framing: 'Framing',
    seed: 'Name or word',
    preview: 'Preview',
    anyMood: 'Any',
    backgroundHint: 'dark in Discord’s dark theme, white in its light one',
    none: 'See-through',
    stylesOwn: 'The style’s own',
    faint: 'Hard to see on this background',
    noLetters: 'picture is empty: the style draws letters, and the word has none',
    fill: 'One colour or two',
    secondColour: 'Second colour',
    firstColourMissing: 'Pick a first colour',
    partsHint: 'the dice decide the rest',
    moreParts: 'More',
    asRolled: 'As rolled',
    noPart: 'None',
    several: 'Pick several',
    readyLooks: 'Ready-made colours',
    unpin: 'All as rolled again',
    adjust: 'Adjust',
    scale: 'Size',
    ownScale: 'Your own size',
    mirror: 'Mirror it',
    cut: 'The circle cuts off some of this one',
    fit: 'Make it fit',
    ownColour: 'Your own colour',
    otherColour: 'As you wrote it',
    seedHint: 'Same word, same face',
    thisWord: 'The face of this word',
    fromUsername: 'Use my Discord username',
    fromUsernameHint: '(then yours will differ from this one)',
    openFaces: 'More faces',
    moreFaces: 'Twelve more',
    faces: 'Twelve faces',
    lastRolls: 'Last rolls',
    sizes: '80, 40 and 32 pixels',
    circle: 'only what is inside the circle',
    promise:
      'your name, username, picture and what your profile looks like (banner, colour, decoration, nameplate, server tag, Nitro), and keep nothing else. We can’t post or change anything',
    update: 'Update',
    startOver: 'Start over',
  },
  looks: {
    ...{ sepia: 'Sepia', ink: 'Ink', pastel: 'Pastel', neon: 'Neon', night: 'Night' },
    ...{ forest: 'Forest', sunset: 'Sunset', candy: 'Candy' },
  },
  fills: { '': 'One colour', linear: 'Fade across', radial: 'Fade from the middle' },
  sliders: { backgroundColorAngle: 'Direction', translateX: 'Sideways', translateY: 'Up and down', rotate: 'Tilt' },
  notices: {
    declined: 'You cancelled at Discord. Nothing was shared; your choices are still here',
    badLink: 'Part of that link made no sense to us; the rest is filled in',
    noLooks: 'no looks in this browser',
    removedLast: 'Removed your last look',
    noSession:
      'your browser did not keep our cookie. Allow cookies for this site, check your device’s clock, and try again',
    signedOut: 'You are signed out. Your looks, and what Discord told us about you, are gone',
    otherAddress: 'only at this address, so we brought you here. Your choices came along',
    signInAgain: 'Discord wants you to sign in again before we go on. Your choices are still here',
    forgotten:
      'We have forgotten you: your sign-ins on all devices, your looks and your name are gone, and Discord knows that you left',
    signedOutEverywhere: 'signed out on all devices. Your looks there are gone, too',
    notSignedIn: 'You are not signed in here, so we cannot tell who you are. Sign in first',
  },
  show: {
    lead: '{look}, from the seed “{seed}”',
    nowAlt: 'Your picture on Discord now',
    now: 'On Discord now',
    nowHint: 'until you upload the new one yourself',
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
    downloadHint: '512 px PNG',
    others: 'Other sizes',
    gifHint: 'With Nitro, Discord shows the GIF moving; without, it keeps the first frame only',
    noFont: 'No font here has {letters}. The PNG leaves that out, even if your browser shows it above',
    noLetters: 'picture is empty: the style draws letters, and the seed has none',
    remixed: 'remixed',
    creditBy: ' by ',
    none: 'dark in Discord’s dark theme, white in its light one',
    where: 'Where people will see it',
    dark: 'Dark theme',
    light: 'Light theme',
    whereAlt: 'a chat message, the list of members, a profile card and a voice call',
    steps: 'Wear it',
    restyle: 'Not quite you yet?',
    restyleHint: 'No need to sign in again',
    change: 'Change style or mood',
    copy: 'Copy link to this look',
    copyHint: 'a link to it has your username in it',
    copyWithName: 'Copy with your username',
    copyWithoutName: 'Copy without it: each gets a face of their own',
    here: 'change it right here',
    make: 'Make this one',
    history: 'Your last looks',
    keptFull: 'Six looks have a star, and six is the most. Take one away to star another',
    removed: 'Removed {look}, from the seed “{seed}”',
    undo: 'Undo',
    historyEmpty: 'next look will wait here',
    fromSeed: ' from the seed “{seed}”',
    downloadOne: 'Download {look}',
    keepOne: 'Keep {look}',
    unkeepOne: 'Stop keeping {look}',
    removeOne: 'Remove {look}',
  },
  profile: {
    accent: 'Your Discord colour',
    compare: 'Which picture',
    after: 'New',
    before: 'Before',
    withDecoration: 'With my decoration',
    nitro: 'You have Nitro',
  },
  elsewhere: {
    title: 'Use it elsewhere',
    lead: 'For webhooks (avatar_url), bots and READMEs. These addresses work for everybody',
    hasName: 'The seed of this look is your Discord username, so each of these holds your username',
    picture: 'from this site, PNG',
    pictureHint: '&size={sizes} for another size; it is {size} pixels otherwise',
    dicebear: 'from DiceBear, SVG',
    dicebearHint: 'for non-commercial use, and it promises no uptime. DiceBear sees whoever loads it',
    terms: 'DiceBear’s terms',
    termsUrl: 'https://www.dicebear.com/how-to-use/http-api/',
    options: 'library, JSON',
    optionsHint: 'new Avatar(new Style({style}), options), with @dicebear/core and @dicebear/styles 10',
    copyWhat: 'Copy: {what}',
  },
  yourData: {
    title: 'Your data',
    lead: 'We delete it when you have been away for a while. You can also delete it now',
    more: 'What we keep',
    signOut: 'Sign out',
    signOutEverywhere: 'Sign out on all devices',
    signOutHint: 'Signing out also deletes your looks, on each device that is signed out',
  },
  script: {
    lowerEdge: 'move it down by {percent} %',
    edgeToEdge: 'fills the whole picture',
    moodAll: 'can show them all',
    moodSome: 'can’t look {moods}',
    moodNone: 'has no face',
    still: '{style} doesn’t move. {styles} do.',
    nowDrawn: 'Now with {drawn}',
    example: 'Yours will look different',
    drawing: 'Drawing…',
    failed: 'Couldn’t draw that one. Showing the last',
    tryAgain: 'Try again',
    roll: 'Roll',
    rollLong: 'Roll the dice for a new face',
    rollRest: 'Roll the rest',
    rollRestLong: 'for the rest; your parts stay',
    unpinned: 'All parts are as rolled again',
    rolled: 'New roll: {seed}',
    backTo: 'Back to {seed}',
    gifDrawing: 'Drawing…',
    gifWait: 'a few seconds',
    gifQueue: 'Many GIFs are waiting to be drawn. Try again in {seconds} s; the still PNG is ready now',
    gifFailed: 'We couldn’t draw the GIF. Try again, or take the still PNG',
    facesShown: 'Twelve faces are shown',
    leaving: 'Off to Discord…',
    working: 'One moment…',
    copied: 'Copied',
    notCopied: `Could not copy. “${words.show.change}”`,
    notCopiedText: 'Select the text in the field',
  },
  errors: {
    ask: 'ask {contact}',
    number: 'number of this error is {number}',
    yourLook: 'Your look',
    yourUsername: 'your username',
    tryAgain: 'Try again',
    tryAgainInSeconds: 'in {count} s',
    tryAgainInMinutes: 'in {count} min',
    back: 'Back to the form',
    start: 'Go to the form',
  },
  privacy: {
    lead: 'no e-mail address, no messages, no servers, no friends, no ads, no statistics about you',
    kept: 'What we keep',
    frontServer: 'The web server in front of this one may keep a log of its own, with your network address',
    told: 'Who is told what',
    discord:
      'learns that you sign in here, and tells us your id, username, display name, picture, and what your profile looks like: banner, accent colour, decoration, nameplate, server tag, and whether you have Nitro. Your browser loads picture, banner and decoration from Discord, which is not told the page that you are on. When you sign out, we tell Discord to end our access',
    dicebear:
      'at {host}, draws the looks. It is told the style, the seed and the other choices of a look that you make. If you use your Discord username instead of a word, **the seed is your Discord username**. DiceBear is not told who or where you are',
    embedded: 'This site draws all looks itself; DiceBear hears nothing',
    demo: 'stand-ins on our own server play Discord and DiceBear. Neither hears from you',
    links:
      '**Whoever has a link to a look** sees its seed, so the page says so where a link holds your username. Bots that load its picture from us are told nothing more',
    nobody: 'Nobody else is told anything',
    deletion: 'How to have it deleted',
    deletionText:
      'are deleted automatically, as the table says. To delete them now, sign in and use “Forget me”, here or on the page with your looks',
    deletionLeft:
      'The rest stays for as long as the table says: notes and counts, which do not name you; what you chose in another browser that is at Discord just now; pages and pictures in our memory, whose addresses may hold your username as the seed; logs and backups. So do drawings',
    ask: 'Who to ask',
    contact: 'Ask the people who run this site',
    noContact: 'left no address',
    policy: 'Their own privacy policy',
    back: 'Make an avatar',
  },
  licences: {
    title: 'Who drew the styles',
    lead: 'Every avatar here is drawn by DiceBear',
    attribution: '{count} of the {all} styles ask for a credit',
    back: 'Make an avatar',
    asks: 'asks for credit',
    fonts: 'drawn with the DejaVu fonts and with Noto fonts (SIL Open Font License 1.1)',
  },
  consent: {
    title: 'Let “{app}” know who you are',
    rehearsal: '**A rehearsal, not Discord.**',
    accounts: 'Who do you want to be',
    agree: 'Agree',
    decline: 'Decline',
  },
}

test.each(Object.entries(said))('the texts of “%s” say what is meant in their places', (group, expected) => {
  const texts: Record<string, unknown> = Object.fromEntries(
    Object.entries(words).flatMap(([name, value]) => (name === group ? Object.entries(value) : [])),
  )
  const wrong = Object.entries(expected).filter(([name, meaning]) => !String(texts[name]).includes(meaning))
  expect(wrong.map(([name]) => `${name}: ${texts[name]}`)).toEqual([])
})

const { errors, problems, privacy, script, show, consent } = words

test.each<[string, { title: string; advice: string }, title: string, advice: string]>([
  [
    'cross-site',
    errors.crossSiteRequest,
    'from another site',
    'only take this form from our own page, to keep you safe. Open the form here',
  ],
  ['404', errors.notFound, 'nothing here', 'address may be mistyped, or what was here is gone'],
  ['405', errors.methodNotAllowed, 'can’t do that', 'not for this kind of request. Start from the form'],
  ['415', errors.unsupportedMediaType, 'not our form', 'only read what the form sends'],
  ['413', errors.tooLarge, 'too much at once', 'longer than our form can be. Please use the form as it is'],
  [
    '431',
    errors.headersTooLarge,
    'too long to read',
    'Start from the form. If that is refused, too, delete the cookies',
  ],
  ['408', errors.requestTimeout, 'stopped waiting', 'did not reach us in time. Nothing was changed; please try again'],
  ['400', errors.invalidValues, 'made no sense', 'missing or wrong. Start from the form'],
  [
    'a lost state',
    errors.unknownState,
    'lost track of your visit',
    'in another browser (the Discord app opens its own), your browser blocks our cookies, it took longer than ten minutes, or this page was opened twice. Please start again here; your look is kept where we still have it',
  ],
  [
    'an error of Discord',
    errors.signInFailed,
    'sign-in did not work',
    'Discord could not finish it. Nothing was changed. Please start again; your look is kept',
  ],
  [
    'a refused code',
    errors.grantRefused,
    'lost track of your visit',
    'Discord no longer knows this sign-in. Please start again; your look is kept',
  ],
  [
    'refused credentials',
    errors.discordRefusedClient,
    'Discord turned us away',
    'our mistake, not yours, and we have noted it. Your choices are safe',
  ],
  [
    'no connection',
    errors.discordUnavailable,
    'Discord is not answering',
    'could not reach it. That is Discord’s side, not yours. Your choices are safe',
  ],
  [
    'a timeout',
    errors.discordTimeout(5),
    'Discord is not answering',
    'nothing for five seconds. That is Discord’s side, not yours. Your choices are safe',
  ],
  [
    'no request',
    errors.discordCircuitOpen,
    'Discord is not answering',
    'did not ask it for you. That is Discord’s side, not yours',
  ],
  [
    'Discord’s limit',
    errors.discordRateLimited(60),
    'Too many people',
    'Discord asks us to wait. Try again in 60 seconds; your choices are safe',
  ],
  [
    'our limit',
    errors.rateLimited(60),
    'very fast',
    'from your address. Try again in 60 seconds. Go back to the page before; what you chose is still there',
  ],
  [
    'our limit of sign-ins',
    errors.tooManySignIns(60),
    'people are signing in',
    'Try again in 60 seconds; your choices are safe',
  ],
  [
    'a full queue',
    errors.overloaded(2),
    'Many pictures',
    'drawing those of others. Try again in 2 seconds; your choices are safe',
  ],
  [
    'no sharp',
    errors.picturesUnavailable,
    'can’t draw this one',
    'on our side, and we have noted it. The SVG is still there',
  ],
  [
    'no Redis',
    errors.storeUnavailable(5),
    'can’t reach our memory',
    'our fault. Try again in 5 seconds; your choices are safe',
  ],
  [
    'a bug',
    errors.unexpectedError,
    'broke on our side',
    'We have noted it. Nothing of yours was changed; please try again',
  ],
])('the error page for %s says what is wrong, and what to do', (_what, { title, advice }, inTitle, inAdvice) => {
  expect(title).toContain(inTitle)
  expect(advice).toContain(inAdvice)
})

test.each([
  [problems.summary(1), 'One thing to fix'],
  [problems.summary(2), 'Two things to fix'],
  [problems.seedTooLong(130, 128), 'The seed is 130 characters long. Use 128 or fewer.'],
  [
    problems.controlCharacter('the tilt'),
    'There is a character in the tilt that can’t be shown. Type it again, on one line.',
  ],
  [problems.styleMissing, 'Choose a style.'],
  [problems.styleUnknown('nope'), '“nope” is not one of our styles. Choose a style.'],
  [problems.colourWrong('red'), '“red” is not a colour code. Use six digits such as #ffd29d.'],
  [problems.moodLacking('Micah', 'love'), 'Micah can’t look in love. Choose another mood or style.'],
  [problems.moodUnknown('odd'), '“odd” is not one of our moods. Choose one of those below.'],
  [problems.animatedWrong, 'Tick “Animate”, or leave it unticked.'],
  [problems.outOfRange('the tilt', -45, 45), 'Set the tilt to a number from −45 to 45.'],
  [problems.notOffered('the mirror'), 'Choose the mirror from what is offered.'],
  [problems.repeated('the seed'), 'The form sent the seed twice. Choose it once.'],
  [problems.tooManyVariants(128), 'among 128 at most. Untick some, or all.'],
])('a message about the form: %s', (message, meaning) => {
  expect(message).toContain(meaning)
})

test.each([
  [
    'messages name the fields of the form',
    problems.fields,
    {
      ...{ translateX: 'to the right', translateY: 'down', rotate: 'tilt', scale: 'size', flip: 'the mirror' },
      ...{ seed: 'the seed', style: 'the style', mood: 'the mood', animated: '“Animate”' },
    },
  ],
  [
    'messages name the fields of the background',
    problems.fields,
    {
      backgroundColor: 'the background',
      backgroundColor2: 'the second colour',
      backgroundColorAngle: 'the angle of the background',
      backgroundColorFill: 'the kind of background',
    },
  ],
  [
    'a part that shows the mood is named',
    script.ownParts,
    {
      eyesVariant: 'The eyes are',
      eyebrowsVariant: 'The eyebrows are',
      mouthVariant: 'The mouth is',
      expressionVariant: 'The expression is',
      moodVariant: 'The mood is',
    },
  ],
  ['moods are words that follow “can’t look”', script.moods, { love: 'in love' }],
  [
    'values have their units',
    script.units,
    { scale: ' %', translateX: ' %', translateY: ' %', rotate: '°', backgroundColorAngle: '°' },
  ],
  ['the steps on a phone', show.onPhone.steps, { 0: 'Save the picture', 1: 'tap **your picture**', 2: '**save**' }],
  [
    'the steps on a computer',
    show.onComputer.steps,
    { 0: 'Download the picture', 1: '**User Settings**, then **Profiles**', 2: '**Change Avatar**' },
  ],
  [
    'the steps have titles',
    { phone: show.onPhone.title, computer: show.onComputer.title },
    { phone: 'On a phone', computer: 'On a computer' },
  ],
  [
    '“Forget me”',
    privacy.forget,
    {
      title: 'Forget me',
      hint: 'On all your devices: signs you out, deletes your looks, and has Discord end our access. It can’t be undone',
      sure: 'Yes, forget me',
    },
  ],
  [
    'what an app may see',
    consent.may,
    {
      0: 'name, username and picture',
      1: 'banner, colour, decoration, nameplate, server tag and Nitro',
    },
  ],
  [
    'what an app may not',
    consent.mayNot,
    {
      0: 'Can’t see messages, servers, friends or e-mail',
      1: 'Can’t post or change anything',
    },
  ],
])('%s', (_what, texts: object, expected: object) => {
  const all: Record<string, string> = Object.fromEntries(Object.entries(texts))
  const wrong = Object.entries(expected).filter(([name, meaning]) => !all[name]?.includes(meaning))
  expect(wrong).toEqual([])
})

test('the title of each mood is its word, with a capital letter, except that of “in love”', () => {
  const titles = moods.map((mood) => words.moods[mood])
  expect(titles).toEqual(moods.map((mood) => mood.charAt(0).toUpperCase() + mood.slice(1)))
  expect(moods.filter((mood) => script.moods[mood] !== mood)).toEqual(['love'])
})

test.each<[string, what: string, howLong: string]>([
  ['session:', 'Your session: your Discord id', 'Seven days after your last visit, 90 days after your sign-in at most'],
  ['sessions:', 'numbers of your sessions', '90 days after your last sign-in'],
  ['state:', 'What you had chosen when you left for Discord', 'Ten minutes, or one more minute once you are back'],
  ['successor:', 'has ended or moved', 'One minute'],
  ['forgotten:', 'you asked to be forgotten', '11 minutes'],
  ['lock:', 'is changing your session', 'Three seconds'],
  ['gate:', 'Discord told us to wait', 'As long as Discord says, an hour at most'],
  ['refused:', 'A token that Discord refused, as a hash', 'Seven days'],
  ['invalid:', 'our requests Discord refused', 'Ten minutes'],
  ['limit:', 'your network address', 'One minute'],
  ['health:', 'Whether the store works', 'One minute'],
  ['avatar-session', 'Your session’s number, signed', 'As long as your session'],
  ['state-', 'this browser that left for Discord', 'Ten minutes, or one more minute once you are back'],
  ['avatar-switch-account', 'Discord shall show its page', 'One day, or until you sign in'],
  ['Our disk', 'The drawing of each look', 'Until newer ones need the room'],
  ['Our memory', 'Pictures and form pages', 'Until newer ones need the room, or a restart'],
  ['Our log', 'For each request the time', 'As long as the people who run this site keep logs'],
  ['Backups', 'Copies of what is in the store', 'As long as they keep backups'],
])('/privacy says what is kept as “%s”, and for how long', (name, what, howLong) => {
  const rows = privacy.groups.flatMap((group) => group.rows).filter((row) => row.name === name || row.place === name)
  expect(rows).toEqual([expect.objectContaining({ what: expect.stringContaining(what) })])
  expect(rows).toEqual([expect.objectContaining({ howLong })])
})

test('the tables of /privacy are those of the server, the browser, and all other places', () => {
  const [server, browser, others] = privacy.groups
  expect([server?.title, server?.place, server?.rows[0]?.name]).toEqual(['On our server', 'Store', 'session:'])
  expect([browser?.title, browser?.place]).toEqual(['Cookies in your browser', 'Cookie'])
  expect(browser?.rows[0]?.name).toBe('avatar-session')
  expect([others?.title, others?.rows[0]?.place]).toEqual(['Elsewhere on our side', 'Our disk'])
  expect(privacy.columns).toEqual({ what: 'What', place: 'Where', howLong: 'How long' })
})

test('the day until which looks stay is by UTC, also on a server elsewhere', async () => {
  vi.stubEnv('TZ', 'Pacific/Kiritimati')
  vi.resetModules()
  onTestFinished(() => {
    vi.unstubAllEnvs()
    vi.resetModules()
  })
  const { showWords } = await import('../../src/pages/show-words.ts')
  expect(showWords.historyHint(new Date('2026-02-28T23:59:59Z'))).toContain('stay until 28 February: seven days')
})
