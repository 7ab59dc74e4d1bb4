import { totalmem } from 'node:os'

/** How much memory the parts of the app may use. */
type Capacity = {
  /** Size of the cache of previews, and of that of /og.png and /look.png. Those of PNGs and GIFs are twice as large. */
  pictureCacheMb: number
  /** How many processes render PNGs, GIFs and the pictures of link previews. */
  renderingProcesses: number
  /**
   * Memory limit of a rendering process. DiceBear's most costly drawing takes 240 MB as a PNG of 1024 pixels; with a
   * lower limit that request gets 503.
   */
  renderingMaxMb: number
  /** Memory limit of the process that checks and draws SVGs. With all of DiceBear's styles loaded it takes 115 MB. */
  drawingMaxMb: number
}

// The server takes 100 MB besides its caches, and the processes share 60 MB of files. What the processes usually take
// fits into the memory. If all of them reach their limits at once, Linux kills one, not the server (renderer.ts).
const from1000: Capacity = { pictureCacheMb: 16, renderingProcesses: 2, renderingMaxMb: 260, drawingMaxMb: 250 }
const from650: Capacity = { pictureCacheMb: 8, renderingProcesses: 2, renderingMaxMb: 260, drawingMaxMb: 200 }
const from350: Capacity = { pictureCacheMb: 4, renderingProcesses: 1, renderingMaxMb: 260, drawingMaxMb: 160 }
const smallest: Capacity = { pictureCacheMb: 2, renderingProcesses: 1, renderingMaxMb: 160, drawingMaxMb: 160 }

/** The limits for a machine or container with this much memory. */
export function capacityFor(memoryMb: number): Capacity {
  if (memoryMb >= 1000) return from1000
  if (memoryMb >= 650) return from650
  return memoryMb >= 350 ? from350 : smallest
}

/** The memory limit of the control group (container, systemd unit), or else half of the machine's memory. */
export function availableMemoryMb(): number {
  const machineBytes = totalmem()
  const limitBytes = process.constrainedMemory() // 0, or more than the machine has, if there is no limit
  const bytes = limitBytes > 0 && limitBytes < machineBytes ? limitBytes : machineBytes / 2
  return bytes / (1024 * 1024)
}
