import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { EXIT, UsageError } from './exit-codes.ts';
import type { Io } from './io.ts';

/** A file that cannot be read. */
export class ReadError extends Error {
  override readonly name = 'ReadError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EISDIR: 'it is a directory',
  EACCES: 'permission denied',
};

/** Without what Node adds: a Buffer's slice() shares memory where a Uint8Array's copies. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** Why the system refused a file, in words where we have them. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code !== undefined && REASONS[code]) || message;
}

/** All bytes of an object file; `-` is standard input. Gives its name for messages too. */
export async function readObject(path: string, io: Io): Promise<{ bytes: Uint8Array; file: string }> {
  if (path === '-') return { bytes: await readStdin(io), file: 'stdin' };
  try {
    return { bytes: plain(await readFile(path)), file: basename(path) };
  } catch (error) {
    throw new ReadError(`${path}: ${reasonOf(error)}`, EXIT.load);
  }
}

/** All bytes of any other file that the user names; `-` is standard input. @throws UsageError */
export async function readBytes(path: string, io: Io): Promise<Uint8Array> {
  if (path === '-') return await readStdin(io);
  try {
    return plain(await readFile(path));
  } catch (error) {
    throw new UsageError(`${path}: ${reasonOf(error)}`);
  }
}

async function readStdin(io: Io): Promise<Uint8Array> {
  if (io.stdin.isTTY)
    throw new UsageError('- means standard input, but that is a terminal', 'name a file, or pipe one in');
  const chunks: Uint8Array[] = [];
  for await (const chunk of io.stdin) chunks.push(chunk);
  return plain(Buffer.concat(chunks));
}

/** Bytes of a file as a stream; `-` is standard input. @throws UsageError when iterating a file that cannot be read */
export async function* streamFile(path: string, io: Io): AsyncGenerator<Uint8Array> {
  if (path === '-') {
    try {
      for await (const chunk of io.stdin) yield chunk;
    } catch (error) {
      if (!io.signal.aborted) throw error;
    }
    return;
  }
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) yield chunk as Uint8Array;
  } catch (error) {
    throw new UsageError(`${path}: ${reasonOf(error)}`);
  }
}

/**
 * Bytes written as hex digits, with blanks and colons between them: `ffff ffff`, `de:ad:be:ef`, `0xdead`.
 * Undefined when the text is something else.
 */
export function parseHex(text: string): Uint8Array | undefined {
  const digits = text.trim().replace(/^0x/i, '').replace(/[\s:]/g, '');
  if (digits.length === 0 || digits.length % 2 !== 0 || !/^[0-9a-f]+$/i.test(digits)) return undefined;
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
