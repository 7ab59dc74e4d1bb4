import { startAndFail } from './start-app.ts'

/** Compiles the app before all tests: Node stores compiled modules only when a process is not killed, as most here are. */
export default async function compile(): Promise<void> {
  await startAndFail({ PORT: 'none' })
}
