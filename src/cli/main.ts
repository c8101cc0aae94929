#!/usr/bin/env node
import { runCommandLine } from './command-line.ts';
import { EXIT } from './exit-codes.ts';

const interrupt = new AbortController();
process.on('SIGINT', () => {
  // A second time, or a command that does not listen: at once.
  if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
  interrupt.abort();
});
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader (head, less) has seen enough.
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.ok);
    throw error;
  });
}
process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interrupt.signal,
  now: () => performance.now(),
});
