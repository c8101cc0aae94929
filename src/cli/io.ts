/** What a command sees of the outside world; tests give their own. */
export interface Io {
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Wall clock in milliseconds, for rates only. */
  now(): number;
  /** From now on Ctrl-C ends the process at once: what follows never lets the signal in. */
  endAtInterrupt?(): void;
}

/** A stream to write to, in the form of Node's own. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(data: string | Uint8Array): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

/** Bytes of text that are collected before they are written. */
const CHUNK = 32 * 1024;

/** Text on its way to an output: collected into large pieces, with the reader's pace respected by `settle`. */
export class TextSink {
  readonly output: Output;
  #text = '';
  #full = false;

  constructor(output: Output) {
    this.output = output;
  }

  line(text = ''): void {
    this.#text += `${text}\n`;
    if (this.#text.length >= CHUNK) this.flush();
  }

  /** Hands over what is collected. */
  flush(): void {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    if (!this.output.write(text)) this.#full = true;
  }

  /** Waits while the reader is behind, so that a long output does not pile up in memory. */
  async settle(): Promise<void> {
    if (!this.#full) return;
    this.#full = false;
    await new Promise<void>((resolve) => this.output.once('drain', resolve));
  }
}

/** Should the output have colours? NO_COLOR and pipes say no. */
export function wantsColour(output: Output, env: Io['env']): boolean {
  return output.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof CODES;

/** Paints text when `on`. */
export function painter(on: boolean): (style: Style, text: string) => string {
  return (style, text) => (on ? `\u001b[${CODES[style][0]}m${text}\u001b[${CODES[style][1]}m` : text);
}
