// The program of a renderer process that fails at its first task and at every task after the third.
let tasks = 0
process.on('message', () => {
  tasks += 1
  process.send?.(tasks === 2 || tasks === 3 ? { value: Uint8Array.of(tasks) } : { error: 'out of order' })
})
process.send?.('ready')
