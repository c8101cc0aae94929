import { E, type ErrnoName } from './errno.ts';

export interface ErrorFacts {
  /** Errno that the kernel (or libbpf) would return, by name. */
  readonly errno?: ErrnoName;
  /** Program by its C name. */
  readonly program?: string;
  /** Instruction index (8-byte slots, as the kernel counts). */
  readonly insn?: number;
  /** C source position, `file.c:31`. */
  readonly source?: string;
  /** Verifier or loader log, if one was written. */
  readonly log?: string;
  /** What to do about it, one clause. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * A mistake in the user's input, or a program that Linux would reject. Its message has the house form:
 * `program: insn 14 (fw.bpf.c:31): what happened; hint`.
 */
export class BpfError extends Error {
  readonly facts: ErrorFacts;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(composeMessage(message, facts), facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.facts = facts;
  }

  /** Negative errno, or -EINVAL when none was named. */
  get errno(): number {
    return -E[this.facts.errno ?? 'EINVAL'];
  }
}

function composeMessage(message: string, facts: ErrorFacts): string {
  let where = facts.program ?? '';
  if (facts.insn !== undefined) where += `${where ? ': ' : ''}insn ${facts.insn}`;
  if (facts.source) where += where ? ` (${facts.source})` : facts.source;
  return (where ? `${where}: ` : '') + message + (facts.hint ? `; ${facts.hint}` : '');
}

/** An object, program or map that cannot be loaded (exit code 3). */
export class LoadError extends BpfError {}

/** A program that ran into memory it may not touch, or out of its instruction budget. */
export class FaultError extends BpfError {}

/** A packet capture or packet that cannot be read. */
export class PacketError extends BpfError {}

/** A map operation that failed where no errno can be returned (typed access from user space). */
export class MapError extends BpfError {}

/** A broken invariant of ours: never the user's mistake (exit code 4). */
export class InternalError extends Error {
  override readonly name = 'InternalError';
}
