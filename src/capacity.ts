import { totalmem } from 'node:os'

/** What the app may use. */
export type Capacity = {
  /** Of the cache of previews, and that of link pictures. Those of PNGs and of GIFs may each take twice as much. */
  pictureCacheMb: number
  /** How many processes render PNGs, GIFs and link pictures. */
  renderingProcesses: number
  /**
   * The most memory of one of these. DiceBear's most costly drawing takes 240 MB as a PNG of 1024 pixels: where less is
   * allowed, the answer is 503.
   */
  renderingMaxMb: number
  /** The most memory of the process that checks and draws SVGs. With all of DiceBear's styles it takes 115 MB. */
  drawingMaxMb: number
}

// The server takes 100 MB besides the caches, and 60 MB of each process are files that all of them share. So each of these
// fits, and Linux need not kill a process.
const from1000: Capacity = { pictureCacheMb: 16, renderingProcesses: 2, renderingMaxMb: 260, drawingMaxMb: 250 }
const from650: Capacity = { pictureCacheMb: 8, renderingProcesses: 2, renderingMaxMb: 260, drawingMaxMb: 200 }
const from350: Capacity = { pictureCacheMb: 4, renderingProcesses: 1, renderingMaxMb: 245, drawingMaxMb: 160 }
const smallest: Capacity = { pictureCacheMb: 2, renderingProcesses: 1, renderingMaxMb: 160, drawingMaxMb: 160 }

/** What the app may use with this much memory. */
export function capacityFor(memoryMb: number): Capacity {
  if (memoryMb >= 1000) return from1000
  if (memoryMb >= 650) return from650
  return memoryMb >= 350 ? from350 : smallest
}

/** The limit of the control group (a container, a systemd unit), or half of the machine, which has other work, too. */
export function availableMemoryMb(): number {
  const machineBytes = totalmem()
  const limitBytes = process.constrainedMemory() // 0, or more than the machine has, without a limit
  const bytes = limitBytes > 0 && limitBytes < machineBytes ? limitBytes : machineBytes / 2
  return bytes / (1024 * 1024)
}
