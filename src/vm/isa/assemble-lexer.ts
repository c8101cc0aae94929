import { BpfError } from '../../base/error.ts';

/** A mistake in assembler text; `line` and `column` count from 1. */
export class AssembleError extends BpfError {
  readonly line: number;
  readonly column: number;

  constructor(line: number, column: number, message: string) {
    super(`line ${line}, column ${column}: ${message}`, { errno: 'EINVAL' });
    this.line = line;
    this.column = column;
  }
}

export interface Token {
  readonly kind: 'word' | 'number' | 'symbol' | 'end';
  readonly text: string;
  /** From 1. */
  readonly column: number;
  /** No blank before it. */
  readonly glued: boolean;
}

/** Longest first; `s>` and its like are one symbol, so they come before words. */
const TOKEN =
  /(?<symbol>s>>=|s[<>]=|s[/%]=|s[<>]|<<=|>>=|[-+*/%&|^=!<>]=|[-+*/%&|^=<>()[\],:#@])|(?<number>0[xX][0-9a-fA-F]+|\d+(?![\w]))|(?<word>[\w.$]+)/y;

/** Splits a line into tokens; `from` is the index where the statement begins. Comments: `;`, `//`, and `#` after a blank. */
export function tokenize(line: string, lineNumber: number, from: number): Token[] {
  const tokens: Token[] = [];
  let at = from;
  for (;;) {
    const before = at;
    while (at < line.length && /\s/.test(line[at]!)) at++;
    const glued = before === at && at > from;
    const rest = line[at];
    const comment =
      rest === undefined || rest === ';' || line.startsWith('//', at) || (rest === '#' && (at === 0 || !glued));
    if (comment) {
      tokens.push({ kind: 'end', text: 'end of line', column: Math.min(at, line.length) + 1, glued });
      return tokens;
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(line);
    if (!match) throw new AssembleError(lineNumber, at + 1, `unexpected character ${JSON.stringify(rest)}`);
    const text = match[0];
    const kind = match.groups!.symbol !== undefined ? 'symbol' : match.groups!.number !== undefined ? 'number' : 'word';
    tokens.push({ kind, text, column: at + 1, glued });
    at += text.length;
  }
}

/** Walks the tokens of one statement; every refusal says what was expected and what stands there. */
export class TokenReader {
  readonly line: number;
  #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[], line: number) {
    this.#tokens = tokens;
    this.line = line;
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  /** Takes the token when it is this text. */
  take(text: string): boolean {
    if (this.peek().kind === 'end' || this.peek().text !== text) return false;
    this.#at++;
    return true;
  }

  expect(text: string): Token {
    if (this.peek().kind === 'end' || this.peek().text !== text) throw this.expected(JSON.stringify(text));
    return this.next();
  }

  /** The error for the token that stands here. */
  expected(what: string, token = this.peek()): AssembleError {
    const found = token.kind === 'end' ? 'the end of the line' : JSON.stringify(token.text);
    return this.error(`expected ${what}, found ${found}`, token);
  }

  error(message: string, token = this.peek()): AssembleError {
    return new AssembleError(this.line, token.column, message);
  }

  /** Nothing may follow. */
  finish(): void {
    if (this.peek().kind !== 'end') throw this.expected('the end of the line');
  }

  /** An integer with optional sign. */
  integer(what: string): bigint {
    const start = this.peek();
    const negative = this.take('-');
    if (!negative) this.take('+');
    const token = this.peek();
    if (token.kind !== 'number') throw this.expected(what, start.kind === 'symbol' ? token : start);
    this.next();
    const value = BigInt(token.text);
    return negative ? -value : value;
  }

  /** An integer in [min, max]; `hint` says what else to do. */
  integerIn(what: string, min: number, max: number, hint = ''): number {
    const token = this.peek();
    const value = this.integer(what);
    if (value < BigInt(min) || value > BigInt(max)) {
      throw this.error(`${what} ${value} is not between ${min} and ${max}${hint ? `; ${hint}` : ''}`, token);
    }
    return Number(value);
  }
}
