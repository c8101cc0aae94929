#!/usr/bin/env node
import { ownVersion } from './version.ts';

const args = process.argv.slice(2);
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader (head, less) has seen enough.
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
    throw error;
  });
}
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  // Nothing else is loaded for this.
  process.stdout.write(`${ownVersion()}\n`);
} else {
  const { EXIT } = await import('./exit-codes.ts');
  const { runCommandLine } = await import('./command-line.ts');
  const interrupt = new AbortController();
  const onInterrupt = () => {
    // A second time: at once.
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
    interrupt.abort();
    // A command that waits for input waits no longer.
    process.stdin.destroy();
  };
  process.on('SIGINT', onInterrupt);
  process.exitCode = await runCommandLine(args, {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    signal: interrupt.signal,
    now: () => performance.now(),
    endAtInterrupt: () => process.off('SIGINT', onInterrupt),
  });
}
