// `npm run bench:cores` compares one instance with two, behind nginx with the proxy settings of deploy/nginx.conf, over
// plain HTTP. A second instance helps only if nginx, Redis and the load generator leave it a processor. On machines
// with fewer than four processors, each instance is limited to a share of one, so that there is enough for all.
import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Request } from 'autocannon'
import { freePort } from '../support/free-port.ts'
import { type ControlGroup, createControlGroup } from './control-group.ts'
import { load, visit, visitRequests } from './load.ts'
import { killAtExit, openStage, type Program, type Stage } from './stage.ts'

const rounds = 5
const share = 0.3

/** Limits a process to a share of one processor. Returns undefined without permission. */
function limited({ pid = 0 }: Program): ControlGroup | undefined {
  const group = createControlGroup(`bench-${pid}`, { cpuShare: share })
  group?.add(pid)
  return group
}

/** Starts nginx in front of these instances. */
async function openProxy(stage: Stage, instances: Program[]) {
  const port = await freePort()
  const folder = join(stage.folder, `nginx-${port}`)
  await mkdir(folder, { recursive: true })
  const servers = instances.map(({ url }) => `server ${new URL(url).host} max_fails=0;`).join(' ')
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/pid; error_log stderr crit; worker_processes 1;
    events { worker_connections 1024; }
    http {
      access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      upstream avatars { ${servers} keepalive 32; keepalive_timeout 2s; }
      server {
        listen 127.0.0.1:${port};
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
        proxy_buffer_size 16k; proxy_buffers 8 16k; keepalive_requests 1000000;
        location / { proxy_pass http://avatars; }
      }
    }`,
  )
  const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', 'stderr'], { stdio: 'ignore' })
  const exited = killAtExit(nginx)
  const url = `http://127.0.0.1:${port}`
  while (
    !(await fetch(url).then(
      (answer) => answer.ok,
      () => false,
    ))
  ) {
    if (nginx.exitCode !== null) throw new Error('nginx did not start')
    await wait(20)
  }
  return {
    url,
    async stop() {
      nginx.kill('SIGTERM')
      await exited
    },
  }
}

let previews = 0
const newPreview: Request = {
  setupRequest: (request) => {
    previews += 1
    return { ...request, path: `/preview.svg?seed=new+${previews}&style=adventurer` }
  },
}

const stage = await openStage({ settings: { TRUST_PROXY: 'loopback' } })
// The same BASE_URL, because the names of the cookies contain its port.
const second = await stage.startApp({ BASE_URL: stage.app.url })
const [one, two] = [await openProxy(stage, [stage.app]), await openProxy(stage, [stage.app, second])]
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
for (const requests of [visit(), [newPreview]]) {
  await load({ url: two.url, requests, seconds: 8, connections: 32, statuses: [200, 302] }) // to warm up
}
const processors = availableParallelism()
const groups = processors >= 4 ? [] : [stage.app, second].map(limited)
const areLimited = groups.length > 0 && !groups.includes(undefined)
const isConclusive = processors >= 4 || areLimited
try {
  const how = areLimited ? `; each instance is limited to ${100 * share} % of one` : ''
  process.stdout.write(`${processors} processors, for the instances, nginx, Redis and the load together${how}\n`)
  for (const [what, requests, per] of [
    ['new previews', () => [newPreview], 1],
    ['visits', visit, visitRequests],
  ] as const) {
    const pairs: { one: number; two: number }[] = []
    // So many connections that they never all wait for one instance while the other is idle.
    const measure = ({ url }: { url: string }) =>
      load({ url, requests: requests(), seconds: 4, connections: 128, statuses: [200, 302] })
    for (let round = 0; round < rounds; round++) {
      pairs.push({ one: (await measure(one)).perSecond / per, two: (await measure(two)).perSecond / per })
    }
    const [single, both] = [median(pairs.map((pair) => pair.one)), median(pairs.map((pair) => pair.two))]
    const ratio = median(pairs.map((pair) => pair.two / pair.one))
    if (ratio < 1.5 && isConclusive) process.exitCode = 1
    const rate = (perSecond: number) => `${perSecond.toFixed(0).padStart(6)}/s`
    const missed = isConclusive ? ', MISSED: 1.5' : ', under 1.5, but with too few processors to draw a conclusion'
    process.stdout.write(
      `${what.padEnd(14)} ${rate(single)} by one, ${rate(both)} by two: ${ratio.toFixed(2)} times` +
        `${ratio >= 1.5 ? '' : missed}\n`,
    )
  }
} finally {
  await Promise.all([one.stop(), two.stop()])
  await second.stop()
  await stage.close()
  for (const group of groups) group?.remove()
}
process.exit()
