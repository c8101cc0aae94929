import { Command } from 'commander';
import type { Lab, LabProgram } from '../index.ts';
import type { CommandContext } from './command-line.ts';
import { EXIT, UsageError } from './exit-codes.ts';
import { parseHex, readBytes } from './read-input.ts';
import { type EngineOptions, withEngine } from './shared-options.ts';

type Api = typeof import('../index.ts');

interface ConformanceOptions extends EngineOptions {
  readonly program?: string;
  readonly debug?: boolean;
  readonly elf?: boolean;
}

/**
 * `bpflab conformance`, a plugin of the public bpf_conformance suite: the runner starts it with the memory as hex and its
 * own options as arguments, writes the program as hex to standard input, and reads r0 as hex from standard output.
 */
export function conformanceCommand({ io, exitWith }: CommandContext): Command {
  const command = new Command('conformance')
    .description('plugin of the bpf_conformance suite: runs bare instructions, prints r0')
    .argument('[memory]', 'memory that r1 points to, as hex (r2: its length)')
    .argument('[rest...]', 'ignored when empty: the runner passes an empty option string')
    .option('--program <hex>', 'the program as hex; default: standard input')
    .option('--debug', 'say on standard error why a program did not run')
    .option('--elf', 'the program is an object file (as hex): its first XDP program runs on the memory, or else .text');
  return withEngine(command).action(
    async (memoryText: string | undefined, rest: readonly string[], options: ConformanceOptions) => {
      const extra = rest.find((word) => word.trim() !== '');
      if (extra !== undefined) throw new UsageError(`unexpected '${extra}'`);
      const memory = hexArgument('memory', memoryText ?? '');
      const text = options.program ?? new TextDecoder('latin1').decode(await readBytes('-', io));
      const bytes = hexArgument('program', text);
      if (bytes.length === 0) throw new UsageError('no program', 'write its bytes as hex to standard input');
      const api = await import('../index.ts');
      try {
        const lab = api.createLab({ seed: options.seed, cpus: options.cpus });
        const r0 = options.elf ? runObject(api, lab, bytes, memory) : lab.runRaw(maskShifts(api, bytes), memory);
        io.stdout.write(`${r0.toString(16)}\n`);
      } catch (error) {
        if (!(error instanceof api.BpfError)) throw error;
        // The suite compares what a plugin prints with the error that a test expects.
        io.stdout.write(`${error.message}\n`);
        if (options.debug) io.stderr.write(`bpflab: ${error.name}: ${error.message}\n`);
        exitWith(error instanceof api.LoadError ? EXIT.load : EXIT.failed);
      }
    },
  );
}

/**
 * RFC 9669 section 4.1 masks the count of every shift; Linux refuses an immediate count that is too large. The suite follows
 * the RFC, so here the mask is applied before the program is loaded.
 */
function maskShifts(api: Api, program: Uint8Array): Uint8Array {
  if (program.length % 8 !== 0) return program;
  const bytes = program.slice();
  const view = new DataView(bytes.buffer);
  for (const { opcode, slot, imm } of api.decodeProgram(program)) {
    // lsh 0x60, rsh 0x70, arsh 0xc0 with an immediate, of class ALU (4) or ALU64 (7)
    if (![0x64, 0x74, 0xc4, 0x67, 0x77, 0xc7].includes(opcode)) continue;
    view.setInt32(slot * 8 + 4, imm & ((opcode & 7) === 7 ? 63 : 31), true);
  }
  return bytes;
}

function hexArgument(what: string, text: string): Uint8Array {
  if (text.trim() === '') return new Uint8Array(0);
  const bytes = parseHex(text);
  if (!bytes) throw new UsageError(`the ${what} is not bytes in hex: '${text.trim().slice(0, 40)}'`);
  return bytes;
}

/**
 * The first XDP program of an object, with the memory as its packet, or, where `.text` is all there is, its instructions
 * as they are. The runner writes both kinds, with and without a prologue that makes r1 and r2 of a context.
 */
function runObject(api: Api, lab: Lab, bytes: Uint8Array, memory: Uint8Array): bigint {
  const object = lab.load(bytes, { file: 'program' });
  const program = object.programs.find((row) => row.spec.type === 'xdp');
  if (program) return runPacket(api, lab, program, memory);
  const text = api.openObject(bytes, { file: 'program' }).funcs.find((func) => func.section.name === '.text');
  if (text && object.programs.length === 0 && object.maps.length === 0)
    return lab.runRaw(maskShifts(api, text.section.data), memory);
  throw new api.LoadError('the object has no XDP program', { errno: 'ENOENT' });
}

/** All 64 bits of r0: the suite compares them, a run gives 32. */
function runPacket(api: Api, lab: Lab, program: LabProgram, memory: Uint8Array): bigint {
  // BPF_PROG_TEST_RUN wants an Ethernet header at least.
  // The prologue of a test takes its length from the test, so bytes after the memory do no harm.
  const packet = new Uint8Array(Math.max(memory.length, api.ETH_HLEN));
  packet.set(memory);
  let r0 = 0n;
  lab.onStep = (_program, _insn, registers) => {
    r0 = (BigInt(registers[1]! >>> 0) << 32n) | BigInt(registers[0]! >>> 0);
  };
  program.run(packet);
  return r0;
}
