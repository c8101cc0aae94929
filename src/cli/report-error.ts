import { writeFileSync } from 'node:fs';
import { EXIT, UsageError } from './exit-codes.ts';
import type { Io } from './io.ts';
import { ReadError } from './read-input.ts';

/**
 * Tells the user what went wrong and gives the exit code. What is nobody's mistake but ours leaves a reproducer file in
 * the current directory.
 */
export async function reportError(error: unknown, args: readonly string[], io: Io): Promise<number> {
  const say = (text: string) => void io.stderr.write(`bpflab: ${text}\n`);
  if (error instanceof UsageError) {
    say(error.hint ? `${error.message}; ${error.hint}` : error.message);
    return EXIT.usage;
  }
  if (error instanceof ReadError) {
    say(error.message);
    return error.exitCode;
  }
  // Loaded already, unless something went wrong before any command began.
  const { BpfError, FaultError, LoadError, MapError, PacketError } = await import('../index.ts');
  if (error instanceof BpfError) {
    say(error.message);
    if (error instanceof LoadError || error instanceof MapError) return EXIT.load;
    return error instanceof FaultError || error instanceof PacketError ? EXIT.failed : EXIT.usage;
  }
  say(`internal error: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
  const file = await writeReproducer(error, args);
  say(file ? `this is our fault, not yours; please report it with ${file}` : 'this is our fault, not yours');
  return EXIT.internal;
}

/** The file's name, or undefined when it cannot be written. */
async function writeReproducer(error: unknown, args: readonly string[]): Promise<string | undefined> {
  const { createHash } = await import('node:crypto');
  const text = `${JSON.stringify(
    {
      args,
      error: error instanceof Error ? error.message : String(error),
      stack: error instanceof Error ? error.stack?.split('\n') : undefined,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
    },
    undefined,
    2,
  )}\n`;
  const file = `bpflab-repro-${createHash('sha256').update(text).digest('hex').slice(0, 8)}.json`;
  try {
    writeFileSync(file, text);
    return file;
  } catch {
    return undefined;
  }
}
