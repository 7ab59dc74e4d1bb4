// `npm run bench:cores`: one instance and two behind the same nginx, which hands on requests as deploy/nginx.conf does,
// on plain HTTP. Two can only do more where nginx, Redis and this load leave them processors. With fewer than four, each
// instance is held to a share of one, so that there is room for all, and what two gain is the app's doing.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Request } from 'autocannon'
import { freePort } from '../support/free-port.ts'
import { load, visit, visitRequests } from './load.ts'
import { endsWithUs, openStage, type Program, type Stage } from './stage.ts'

const rounds = 5
const share = 0.3

type Group = { letGo(): void }

/** Holds a process to a share of one processor, by Linux's control groups; undefined where we may not. */
function held({ pid }: Program): Group | undefined {
  const periodUs = 10_000
  const quotaUs = share * periodUs
  const first = '/sys/fs/cgroup/cpu' // version 1 has a folder for each controller, version 2 has not
  const group = join(existsSync(first) ? first : '/sys/fs/cgroup', `bench-${pid}`)
  try {
    mkdirSync(group)
    if (existsSync(join(group, 'cpu.max'))) {
      writeFileSync(join(group, 'cpu.max'), `${quotaUs} ${periodUs}`)
    } else {
      writeFileSync(join(group, 'cpu.cfs_period_us'), String(periodUs))
      writeFileSync(join(group, 'cpu.cfs_quota_us'), String(quotaUs))
    }
    writeFileSync(join(group, 'cgroup.procs'), String(pid))
    return { letGo: () => rmdirSync(group) }
  } catch {
    return undefined
  }
}

/** nginx in front of these instances. */
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
  const ended = endsWithUs(nginx)
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
      await ended
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
const second = await stage.startOurs()
const [one, two] = [await openProxy(stage, [stage.ours]), await openProxy(stage, [stage.ours, second])]
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
for (const requests of [visit(), [newPreview]]) {
  await load({ url: two.url, requests, seconds: 8, connections: 32, good: [200, 302] }) // to warm up
}
const processors = availableParallelism()
const groups = processors >= 4 ? [] : [stage.ours, second].map(held)
const areHeld = groups.length > 0 && !groups.includes(undefined)
const canTell = processors >= 4 || areHeld
try {
  const how = areHeld ? `; each instance is held to ${100 * share} % of one` : ''
  process.stdout.write(`${processors} processors, for the instances, nginx, Redis and the load together${how}\n`)
  for (const [what, requests, per] of [
    ['new previews', () => [newPreview], 1],
    ['visits', visit, visitRequests],
  ] as const) {
    const pairs: { one: number; two: number }[] = []
    // So many that an instance that is held never waits for somebody who waits for the other one.
    const ask = ({ url }: { url: string }) =>
      load({ url, requests: requests(), seconds: 4, connections: 128, good: [200, 302] })
    for (let round = 0; round < rounds; round++) {
      pairs.push({ one: (await ask(one)).perSecond / per, two: (await ask(two)).perSecond / per })
    }
    const [alone, both] = [median(pairs.map((pair) => pair.one)), median(pairs.map((pair) => pair.two))]
    const ratio = median(pairs.map((pair) => pair.two / pair.one))
    if (ratio < 1.5 && canTell) process.exitCode = 1
    process.stdout.write(
      `${what.padEnd(14)} ${alone.toFixed(0).padStart(6)}/s by one, ${both.toFixed(0).padStart(6)}/s by two: ${ratio.toFixed(2)} times` +
        `${ratio >= 1.5 ? '' : canTell ? ', MISSED: 1.5' : ', under 1.5, but there are too few processors to tell'}\n`,
    )
  }
} finally {
  await Promise.all([one.stop(), two.stop()])
  await second.stop()
  await stage.close()
  for (const group of groups) group?.letGo()
}
process.exit()
