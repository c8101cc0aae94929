/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** A test failed, or a program was rejected or faulted. */
  failed: 1,
  usage: 2,
  /** An object could not be loaded. */
  load: 3,
  /** Our own fault; a reproducer file was written. */
  internal: 4,
  interrupted: 130,
} as const;

/** A mistake on the command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}
