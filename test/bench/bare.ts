// The program that the app is compared with: the same visit with the same libraries, as their READMEs show them. It has
// no log, no security headers, no validation, no encrypted tokens and no rate limits. It writes its picture to a file,
// as the app does, and serves it from memory. Settings: PORT, REDIS_URL, UPSTREAM_URL, PICTURES (a folder for the
// pictures) and VIEWS (a folder with home.ejs and show.ejs).
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Avatar, Style } from '@dicebear/core'
import definition from '@dicebear/styles/adventurer.json' with { type: 'json' }
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createClient } from 'redis'

type SignedIn = { id: string; username: string; token: string; avatars: string[]; choice: Record<string, string> }
declare module 'express-session' {
  interface SessionData {
    pending?: { state: string; choice: Record<string, string> }
    signedIn?: SignedIn
  }
}

const { PORT, REDIS_URL = '', UPSTREAM_URL, PICTURES = '', VIEWS = '' } = process.env
const client = createClient({ url: REDIS_URL })
await client.connect()

const app = express()
app.set('view engine', 'ejs')
app.set('views', VIEWS)
app.get('/', (_req, res) => res.render('home', { title: 'Make a new face for Discord' }))

const style = new Style(definition)
/** Answers how many pictures the library alone draws in a loop of `ms` milliseconds. */
app.get('/draw-loop', (req, res) => {
  const since = performance.now()
  let drawn = 0
  for (; performance.now() - since < Number(req.query.ms); drawn++) {
    new Avatar(style, { seed: `loop ${drawn}`, backgroundColor: ['ffd29d'] }).toString()
  }
  res.json({ perSecond: (1000 * drawn) / (performance.now() - since) })
})

app.use(
  session({
    store: new RedisStore({ client, prefix: 'bare:' }),
    secret: 'a session secret of more than thirty-two characters',
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: 'lax', maxAge: 7 * 24 * 60 * 60 * 1000 },
  }),
)
const pictures = new Map<string, string>()

app.post('/get_avatar', express.urlencoded({ extended: false }), (req, res) => {
  const state = randomUUID()
  req.session.pending = { state, choice: req.body }
  res.redirect(`https://discord.com/oauth2/authorize?${new URLSearchParams({ response_type: 'code', state })}`)
})

app.get('/get_avatar', async (req, res) => {
  const { pending } = req.session
  if (!pending || pending.state !== req.query.state) return res.sendStatus(400)
  const exchange = await fetch(`${UPSTREAM_URL}/discord/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code: String(req.query.code) }),
  })
  const { access_token: token } = await exchange.json()
  const user = await fetch(`${UPSTREAM_URL}/discord/users/@me`, { headers: { authorization: `Bearer ${token}` } })
  const { id, username } = await user.json()
  const { choice } = pending
  const picture = await fetch(`${UPSTREAM_URL}/dicebear/${choice.style}/svg?${new URLSearchParams(choice)}`)
  const avatar = randomUUID()
  const svg = await picture.text()
  await writeFile(join(PICTURES, `${avatar}.svg`), svg)
  pictures.set(avatar, svg)
  delete req.session.pending
  req.session.signedIn = { id, username, token, avatars: [avatar], choice }
  return res.redirect('/show_avatar')
})

app.get('/show_avatar', (req, res) => {
  if (!req.session.signedIn) return res.redirect('/')
  res.render('show', { title: req.session.signedIn.username, avatar: req.session.signedIn.avatars[0] })
})

app.get('/avatars/:id.svg', (req, res) => {
  if (!req.session.signedIn?.avatars.includes(req.params.id)) return res.sendStatus(404)
  return res.type('svg').send(pictures.get(req.params.id))
})

app.listen(Number(PORT), '127.0.0.1')
