import { E, type ErrnoName, errnoName } from '../base/errno.ts';
import { type ErrorFacts, LoadError } from '../base/error.ts';

/** libbpf's own error numbers, beside the errnos. */
export const LIBBPF_ERRNO = {
  LIBELF: 4000,
  FORMAT: 4001,
  KVERSION: 4002,
  ENDIAN: 4003,
  INTERNAL: 4004,
  RELOC: 4005,
} as const;

/** `EINVAL`, or `FORMAT`, `RELOC`, ... of libbpf. */
export type LoadErrno = ErrnoName | keyof typeof LIBBPF_ERRNO;

const isErrnoName = (name: LoadErrno): name is ErrnoName => name in E;

export interface ObjectErrorFacts extends ErrorFacts {
  /** Step of libbpf that fails: bpf_object__open(), or bpf_object__load(). */
  readonly stage?: 'open' | 'load';
  readonly section?: string;
  /** Byte offset inside the section. */
  readonly offset?: number;
}

/** An object file that cannot be loaded. `errno` is what libbpf returns: a negative errno or -4001, -4003, -4005. */
export class ObjectError extends LoadError {
  readonly code: LoadErrno;
  readonly stage: 'open' | 'load';
  readonly section: string | undefined;
  readonly offset: number | undefined;

  constructor(code: LoadErrno, message: string, facts: ObjectErrorFacts = {}) {
    super(message, { ...facts, errno: isErrnoName(code) ? code : 'EINVAL' });
    this.code = code;
    this.stage = facts.stage ?? 'open';
    this.section = facts.section;
    this.offset = facts.offset;
  }

  override get errno(): number {
    return isErrnoName(this.code) ? -E[this.code] : -LIBBPF_ERRNO[this.code];
  }

  /** `EINVAL`, `LIBBPF_FORMAT` */
  get errnoLabel(): string {
    return isErrnoName(this.code) ? errnoName(E[this.code]) : `LIBBPF_${this.code}`;
  }
}
