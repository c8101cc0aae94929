import type { ContextValues } from '../../src/hooks/test-run.ts';
import { TestRun } from '../../src/hooks/test-run.ts';
import type { BpfMap, MapAttr } from '../../src/maps/map.ts';
import { requireMap } from '../../src/maps/map-types.ts';
import { platform } from '../../src/platform.ts';
import { Interpreter } from '../../src/vm/interpreter.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { encodeProgram, placeInsns } from '../../src/vm/isa/encode.ts';
import { Machine, type MachineOptions } from '../../src/vm/machine.ts';
import { loadProgram, type Program, type ProgramAttr } from '../../src/vm/program.ts';

/** 64 bytes 0, 1, 2, ... with an EtherType that says nothing. */
export const PACKET_64 = Uint8Array.from({ length: 64 }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : i));

export interface VmRun {
  /** r0 as unsigned 64-bit number. */
  readonly r0: bigint;
  /** What the test run returns: r0's low half. */
  readonly retval: number;
  readonly data: Uint8Array;
}

/** A machine with an engine: runs assembler text as a program. */
export class Vm {
  readonly machine: Machine;
  readonly engine: Interpreter;
  readonly testRun: TestRun;

  constructor(options: MachineOptions = {}) {
    this.machine = new Machine({ memory: 64 << 20, ...options });
    this.engine = new Interpreter(this.machine);
    this.testRun = new TestRun(this.machine, this.engine);
  }

  map(attr: MapAttr): BpfMap {
    const map = requireMap(this.machine, attr);
    this.machine.maps.set(map.handle, map);
    return map;
  }

  load(text: string | Uint8Array, attr: Partial<ProgramAttr> = {}): Program {
    const insns = typeof text === 'string' ? encodeProgram(placeInsns(assemble(text))) : text;
    return loadProgram(this.machine, { name: 'test', type: 'xdp', license: 'GPL', insns, ...attr }, platform);
  }

  run(program: Program, data: Uint8Array = PACKET_64, ctx?: ContextValues): VmRun {
    const retval = this.testRun.run(program, data, ctx ? { ctx } : {});
    const [lo, hi] = this.engine.registers;
    return { r0: (BigInt(hi! >>> 0) << 32n) | BigInt(lo! >>> 0), retval, data: this.testRun.output() };
  }

  /** r0 of a program given as text. */
  r0(text: string, attr: Partial<ProgramAttr> = {}, data?: Uint8Array): bigint {
    return this.run(this.load(text, attr), data).r0;
  }
}
