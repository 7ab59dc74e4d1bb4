import { readFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { createRenderers, type RenderersOptions } from '../../src/avatar/renderers.ts'
import { capacityFor } from '../../src/capacity.ts'

/** The program of a renderer process. */
export const program = new URL('../../src/renderer.ts', import.meta.url)

/** Creates renderers with the app's options or others. `failures` has the messages of what failed in them. */
export function openRenderers(others: Partial<RenderersOptions> = {}) {
  const failures: string[] = []
  const limits = { ...capacityFor(1024), ...others }
  return { failures, ...createRenderers({ program, ...limits, onFailure: ({ message }) => failures.push(message) }) }
}

/** Returns the ids of the processes that a process has started. */
export function childrenOf(pid: number): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return list === '' ? [] : list.split(' ').map(Number)
}

/**
 * Measures the memory of a process's children. Returns a function that stops measuring and returns the largest peak of
 * a child, in megabytes.
 */
export function watchMemory(pid: number): () => number {
  let mostMb = 0
  function look(): void {
    for (const child of childrenOf(pid)) mostMb = Math.max(mostMb, peakMemoryMb(child))
  }
  const timer = setInterval(look, 5)
  onTestFinished(() => clearInterval(timer))
  return () => {
    look()
    clearInterval(timer)
    return mostMb
  }
}

/** Returns the peak memory of a process, or 0 if it has just ended. */
function peakMemoryMb(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}
