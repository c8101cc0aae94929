import { runCommandLine } from '../../src/cli/command-line.ts';

export interface Outcome {
  code: number;
  out: string;
  err: string;
  /** Bytes written to standard output. */
  bytes: Uint8Array;
}

export interface Setting {
  /** What standard input gives, chunk by chunk; without it, it is a terminal. */
  readonly stdin?: string | Uint8Array | readonly Uint8Array[] | Error;
  readonly signal?: AbortSignal;
  readonly tty?: boolean;
  readonly env?: Record<string, string>;
}

/** Runs the command line in this process. */
export async function bpflab(args: readonly string[], { stdin, signal, tty, env }: Setting = {}): Promise<Outcome> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const collect = (into: Buffer[]) => ({
    isTTY: tty ?? false,
    write: (data: string | Uint8Array) => {
      into.push(Buffer.from(data as string));
      return true;
    },
    once: () => undefined,
  });
  async function* input(): AsyncGenerator<Uint8Array> {
    if (stdin instanceof Error) throw stdin;
    if (typeof stdin === 'string') yield new TextEncoder().encode(stdin);
    else if (stdin instanceof Uint8Array) yield stdin;
    else if (stdin) yield* stdin;
  }
  const code = await runCommandLine(args, {
    stdin: Object.assign(input(), { isTTY: stdin === undefined }),
    stdout: collect(out),
    stderr: collect(err),
    env: env ?? {},
    signal: signal ?? new AbortController().signal,
    now: () => 0,
  });
  const bytes = Uint8Array.from(Buffer.concat(out as unknown as Uint8Array[]));
  return {
    code,
    out: new TextDecoder().decode(bytes),
    err: Buffer.concat(err as unknown as Uint8Array[]).toString(),
    bytes,
  };
}

/** Lines of JSON as values. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
