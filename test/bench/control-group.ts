// Linux control groups, versions 1 and 2. They limit the processor time or memory of a process and its children.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Limits = {
  /** The share of one processor, at most 1. */
  cpuShare?: number
  memoryMb?: number
}
export type ControlGroup = NonNullable<ReturnType<typeof createControlGroup>>

const root = '/sys/fs/cgroup'
const periodUs = 10_000
const mebibyte = 1024 * 1024

const isVersion2 = (group: string) => existsSync(join(group, 'memory.max'))

/** Creates a control group with these limits. Returns undefined where the machine does not allow it. */
export function createControlGroup(name: string, { cpuShare, memoryMb }: Limits) {
  const groups: string[] = []

  /** Returns the group's folder. Version 1 has a folder for each controller, version 2 one for all. */
  function open(controller: string): string {
    const group = join(existsSync(join(root, controller)) ? join(root, controller) : root, name)
    mkdirSync(group, { recursive: true })
    if (!groups.includes(group)) groups.push(group)
    return group
  }

  function limitCpu(share: number): void {
    const group = open('cpu')
    const quotaUs = String(share * periodUs)
    if (existsSync(join(group, 'cpu.max'))) {
      writeFileSync(join(group, 'cpu.max'), `${quotaUs} ${periodUs}`)
    } else {
      writeFileSync(join(group, 'cpu.cfs_period_us'), String(periodUs))
      writeFileSync(join(group, 'cpu.cfs_quota_us'), quotaUs)
    }
  }

  function limitMemory(megabytes: number): void {
    const group = open('memory')
    const bytes = String(megabytes * mebibyte)
    writeFileSync(join(group, isVersion2(group) ? 'memory.max' : 'memory.limit_in_bytes'), bytes)
    if (existsSync(join(group, 'memory.swap.max'))) writeFileSync(join(group, 'memory.swap.max'), '0')
  }

  function numberIn(file: string, pattern: RegExp): number {
    return Number(pattern.exec(readFileSync(join(open('memory'), file), 'utf8'))?.[1])
  }

  function remove(): void {
    for (const group of groups) rmdirSync(group)
  }

  try {
    if (cpuShare !== undefined) limitCpu(cpuShare)
    if (memoryMb !== undefined) limitMemory(memoryMb)
  } catch {
    remove()
    return undefined
  }

  return {
    /** The files to which a process writes its id in order to join. */
    joinFiles: groups.map((group) => join(group, 'cgroup.procs')),

    /** Moves a running process into the group. */
    add(pid: number): void {
      for (const group of groups) writeFileSync(join(group, 'cgroup.procs'), String(pid))
    },

    /** Returns the memory that the processes have allocated, without the files that Linux caches for them. */
    allocatedMb(): number {
      return numberIn('memory.stat', /^(?:anon|total_rss) (\d+)/m) / mebibyte
    },

    /** Returns how many processes Linux has killed because there was no memory left. */
    killed(): number {
      return numberIn(isVersion2(open('memory')) ? 'memory.events' : 'memory.oom_control', /^oom_kill (\d+)/m)
    },

    remove,
  }
}
