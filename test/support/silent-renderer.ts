// The program of a renderer process that does its first task and never replies to another one.
process.once('message', () => process.send?.({ value: new Uint8Array() }))
process.on('message', () => undefined)
process.send?.('ready')
