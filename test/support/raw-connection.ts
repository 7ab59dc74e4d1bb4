import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export type RawConnection = {
  socket: Socket
  received: () => string
  /** Resolves when the connection is closed, with the time that it was open in milliseconds. */
  closed: Promise<number>
}

/** Opens a TCP connection to send bytes unchanged. It is closed at the end of the test. */
export async function connectRaw(appUrl: string, firstBytes = ''): Promise<RawConnection> {
  const socket = connect(Number(new URL(appUrl).port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const received: Buffer[] = []
  socket.on('error', () => undefined).on('data', (part: Buffer) => received.push(part))
  await once(socket, 'connect')
  const since = performance.now()
  const closed = new Promise<number>((resolve) => {
    socket.once('close', () => resolve(performance.now() - since))
  })
  socket.write(firstBytes)
  return { socket, received: () => Buffer.concat(received).toString(), closed }
}
