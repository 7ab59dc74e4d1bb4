import { type ChildProcess, fork } from 'node:child_process'
import { z } from 'zod'
import { Overloaded } from '../errors.ts'

type PoolOptions = {
  /** The module that each process runs. It sends "ready" once, then a reply to each message, in their order. */
  program: URL
  /** Limit of processes. A process is started only for a job for which the others have no room. */
  maxProcesses: number
  /** Memory limit of a process, in megabytes. The process ends itself when it takes more. */
  maxMb: number
  /** How many jobs a process may have at a time. It does them one after the other. */
  jobsPerProcess: number
  /** A process without jobs ends after this time. */
  idleMs?: number
  /** Called when a process has ended before it had finished a job. */
  onFailure: (error: Overloaded) => void
}

const Reply = z.union([z.object({ error: z.string() }), z.object({ value: z.unknown() })])
export type Reply = z.infer<typeof Reply>

type Job = {
  message: object
  timeoutMs: number
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

type Worker = {
  process: ChildProcess
  isReady: boolean
  /** The jobs that were sent to the process. It is doing the first one. */
  jobs: Job[]
  /** The first characters that the process has written to its standard error. */
  stderr: string
  timer?: NodeJS.Timeout
}

const startTimeoutMs = 10_000
const maxStderrLength = 300

/** The environment variables that a process inherits. Settings are not among them, because some are secret. */
const inherited = new Set(['HOME', 'LD_LIBRARY_PATH', 'NODE_COMPILE_CACHE', 'XDG_CACHE_HOME', 'XDG_DATA_HOME'])
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => inherited.has(name))),
  // These variables make glibc return freed memory at once. Otherwise a few large PNGs would keep 300 MB allocated.
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
}
/**
 * Limits the WebAssembly memory of Node's type stripping to 256 MB. By default it reserves all the address space that
 * `ulimit -v` leaves. See bin/node.
 */
const wasmLimit = '--wasm-max-mem-pages=4096'
/** The memory of a process besides V8's old space, in megabytes: Node itself, V8's young generation and sharp. */
const besideOldSpaceMb = 90

/**
 * Child processes for work that may take too much time or memory. If the work does that, its process is killed and
 * another one is started. Worker threads are not used, because native code in a thread cannot be stopped.
 */
export function createProcessPool(options: PoolOptions) {
  const { program, maxProcesses, maxMb, jobsPerProcess, idleMs, onFailure } = options
  const workers = new Set<Worker>()
  const waiting: Job[] = []
  let closed = false

  function start(): Worker {
    const child = fork(program, [String(maxMb)], {
      execArgv: [`--max-old-space-size=${maxMb - besideOldSpaceMb}`, '--max-semi-space-size=2', wasmLimit],
      env: environment,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const worker: Worker = { process: child, isReady: false, jobs: [], stderr: '' }
    workers.add(worker)
    child.on('message', (message) => receive(worker, message))
    child.on('exit', (code, signal) => end(worker, `ended with ${signal ?? code}`))
    child.on('error', (error) => end(worker, error.message))
    child.stderr?.on('data', (text) => {
      worker.stderr = `${worker.stderr}${text}`.slice(0, maxStderrLength)
    })
    return worker
  }

  function receive(worker: Worker, message: unknown): void {
    if (message === 'ready') worker.isReady = true
    else settle(worker.jobs.shift(), message)
    watch(worker)
    assignJobs()
  }

  function settle(job: Job | undefined, message: unknown): void {
    const reply = Reply.parse(message)
    if ('error' in reply) job?.reject(new Error(reply.error))
    else job?.resolve(reply.value)
  }

  /** Starts the timer that limits the start of the process, its current job or, without a job, its idle time. */
  function watch(worker: Worker): void {
    clearTimeout(worker.timer)
    const [job] = worker.jobs
    const timeoutMs = worker.isReady ? (job?.timeoutMs ?? idleMs) : startTimeoutMs
    if (timeoutMs === undefined) return
    worker.timer = setTimeout(() => end(worker, `took more than ${timeoutMs} ms`), timeoutMs)
  }

  function assignJobs(): void {
    while (waiting.length > 0) {
      const worker = [...workers].find(({ jobs }) => jobs.length < jobsPerProcess)
      if (worker === undefined && workers.size >= maxProcesses) return
      const job = waiting.shift()
      if (job) assign(worker ?? start(), job)
    }
  }

  function assign(worker: Worker, job: Job): void {
    worker.jobs.push(job)
    worker.process.send(job.message, () => undefined) // the event 'exit' or 'error' reports a failure
    if (worker.jobs.length === 1) watch(worker)
  }

  /** Kills the process unless it has ended. Its current job fails; its other jobs go to another process. */
  function end(worker: Worker, reason: string): void {
    if (!workers.delete(worker)) return
    clearTimeout(worker.timer)
    worker.process.kill('SIGKILL')
    const [job, ...others] = worker.jobs
    if (job) {
      const error = new Overloaded(`renderer process ${reason}. ${worker.stderr}`.trim())
      if (!closed) onFailure(error)
      job.reject(error)
    }
    waiting.unshift(...others)
    assignJobs()
  }

  return {
    /** Resolves with the reply of a process. Throws Overloaded if it ends before that, an Error if the work failed. */
    run(message: object, timeoutMs: number): Promise<unknown> {
      if (closed) throw new Overloaded('closed')
      return new Promise((resolve, reject) => {
        waiting.push({ message, timeoutMs, resolve, reject })
        assignJobs()
      })
    },

    /** Ends all processes. Jobs that are not finished fail. */
    close(): void {
      closed = true
      for (const job of waiting.splice(0)) job.reject(new Overloaded('closed'))
      for (const worker of workers) end(worker, 'closed')
    },
  }
}
