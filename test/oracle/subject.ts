import type { ObjectSpec } from '../../src/loader/spec.ts';

/**
 * Whoever can run programs: the kernel (`kernelSubject`), or an engine of the lab. Tests are written against this, so
 * that the same steps run on both and the answers compare as plain JSON.
 */
export interface Subject {
  /** Shown in messages: `kernel`, `interpreter`. */
  readonly name: string;
  /**
   * Creates the object's maps and loads its programs.
   * @throws when a map cannot be created or BTF is refused; refused programs are listed in `refused`.
   */
  load(spec: ObjectSpec, options?: LoadOptions): SubjectObject;
}

export interface LoadOptions {
  /** Names of the programs wanted; default: all with `autoload`. */
  readonly programs?: readonly string[];
  /** BPF_F_* added to what the spec says (strict alignment, ...). */
  readonly progFlags?: number;
}

/** One loaded object: its maps keep their state from run to run. */
export interface SubjectObject {
  /** Names of the programs that were accepted. */
  readonly programs: readonly string[];
  /** Names of its maps. */
  readonly maps: readonly string[];
  /** The others, with their reason. */
  readonly refused: Readonly<Record<string, Refusal>>;
  /** BPF_PROG_TEST_RUN. */
  run(program: string, input: RunInput): RunOutput;
  /**
   * User-space access; results are bytes, 0 or a negative errno. Per-CPU values hold one 8-byte aligned slot per CPU; an
   * update with a value of one slot puts it on every CPU.
   */
  lookup(map: string, key: Uint8Array): Uint8Array | number;
  update(map: string, key: Uint8Array | undefined, value: Uint8Array, flags?: number): number;
  delete(map: string, key: Uint8Array): number;
  /** Contents of every map; takes what queues, stacks, ring buffers and perf buffers hold. */
  dump(): Record<string, MapDump>;
  close(): void;
}

export interface Refusal {
  /** Negative. */
  readonly errno: number;
  /** The verifier's log, or what stands for it. */
  readonly log: string;
}

export interface RunInput {
  readonly data?: Uint8Array;
  /** struct xdp_md or __sk_buff, as ctx_in. */
  readonly ctx?: Uint8Array;
  readonly repeat?: number;
  readonly flags?: number;
}

export interface RunOutput {
  /** 0 or the negative errno of the run itself; the rest is then 0 and ''. */
  readonly errno: number;
  /** Unsigned 32-bit. */
  readonly retval: number;
  /** Packet afterwards, hex. */
  readonly data: string;
  /** Context afterwards, hex; '' when none was given. */
  readonly ctx: string;
}

/**
 * A map's contents as JSON: `[key, value]` in hex. Elements of arrays that are all zero are left out. Per-CPU values are
 * the list of the CPUs' slots without trailing zero slots, so that the number of CPUs does not show. Values of prog
 * arrays are program names, of outer maps the inner map's dump. Queues: in the order of popping, key ''. Ring buffers:
 * records, key ''. Perf event arrays: samples with their padding, key is the CPU. Hashes with a random seed are
 * sorted by key; all else stands in the kernel's order.
 */
export interface MapDump {
  readonly type: string;
  readonly entries: readonly (readonly [string, string | readonly string[] | MapDump])[];
}
