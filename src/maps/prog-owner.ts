import type { ProgRef } from './map.ts';

/** Program types and attach types that maps look at. */
export const BPF_PROG_TYPE_XDP = 6;
export const BPF_PROG_TYPE_EXT = 28;
export const BPF_XDP_DEVMAP = 33;
export const BPF_XDP_CPUMAP = 35;

/**
 * What all programs of a map have in common; the first program that comes in touch with the map fixes it, for good.
 * kernel: struct bpf_map_owner, __bpf_prog_map_compatible()
 */
export class ProgOwner {
  #first: ProgRef | undefined;

  get first(): ProgRef | undefined {
    return this.#first;
  }

  /** True when the program may be in, or use, the map; the first one always may. */
  admit(prog: ProgRef): boolean {
    const first = this.#first;
    if (first === undefined) {
      this.#first = prog;
      return true;
    }
    return (
      first.typeId === prog.typeId &&
      first.expectedAttachType === prog.expectedAttachType &&
      first.hasFrags === prog.hasFrags
    );
  }
}
