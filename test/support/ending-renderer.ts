// The program of a renderer process that writes to its standard error at two tasks and ends at the third.
const outputs = ['broken ', 'x'.repeat(400)]
process.on('message', () => {
  const output = outputs.shift()
  if (output === undefined) process.exit(1)
  process.stderr.write(output, () => process.send?.({ value: '' }))
})
process.send?.('ready')
