import { Command } from 'commander';
import type { DisassembleContext, Insn, ObjectSpec, ProgramSpec } from '../index.ts';
import { declare } from './c-types.ts';
import type { CommandContext } from './command-line.ts';
import { UsageError } from './exit-codes.ts';
import { TextSink } from './io.ts';
import { hexText, toJson } from './json.ts';
import { readObject } from './read-input.ts';
import { type CommonOptions, isJson, withCommon } from './shared-options.ts';
import { SourceLines } from './source-lines.ts';

type Api = typeof import('../index.ts');

interface DisasmOptions extends CommonOptions {
  readonly section?: string;
  readonly source?: boolean;
  readonly raw?: boolean;
}

/** `src` of LD_IMM64 in an ObjectSpec. */
const PSEUDO = { extern: 3, func: 4, map: 5, mapValue: 6 } as const;

/** `bpflab disasm` */
export function disasmCommand({ io }: CommandContext): Command {
  return withCommon(
    new Command('disasm')
      .description('instructions as bpftool prints them, with names and C lines')
      .argument('<obj>', 'BPF object file, - for standard input')
      .option('-s, --section <name>', 'only the programs of that section, or the one of that name')
      .option('--source', 'C lines between the instructions')
      .option('--raw', 'the bytes of each instruction'),
  ).action(async (path: string, options: DisasmOptions) => {
    const { bytes, file } = await readObject(path, io);
    const api = await import('../index.ts');
    const spec = api.prepareObject(api.openObject(bytes, { file }));
    const sink = new TextSink(io.stdout);
    const source = new SourceLines(path);
    for (const [index, program] of selected(spec, options.section).entries()) {
      if (isJson(options)) sink.line(toJson(programJson(api, spec, program, options), options.pretty));
      else {
        if (index > 0) sink.line();
        programText(api, spec, program, { ...options, source: options.source ? source : undefined }, sink);
      }
      sink.flush();
      await sink.settle();
    }
  });
}

function selected(spec: ObjectSpec, section: string | undefined): readonly ProgramSpec[] {
  if (section === undefined) return spec.programs;
  const byName = spec.programs.filter((program) => program.name === section);
  const found = byName.length ? byName : spec.programs.filter((program) => program.section === section);
  if (found.length) return found;
  const known = spec.programs.map((program) => `${program.name} (${program.section})`).join(', ') || 'nothing';
  throw new UsageError(`${spec.name} has no program or section '${section}'`, `there is ${known}`);
}

/** Names for what the instructions refer to. */
function namesFor(api: Api, spec: ObjectSpec, program: ProgramSpec): DisassembleContext {
  const functions = new Map(program.funcs.map((func) => [func.insn, func.name]));
  return {
    helperName: (id) => api.helperName(id)?.name,
    kfuncName: (index) => spec.kfuncs[index]?.name,
    functionName: (slot) => functions.get(slot),
    reference: (insn) => referenceText(spec, functions, insn),
  };
}

function referenceText(spec: ObjectSpec, functions: ReadonlyMap<number, string>, insn: Insn): string | undefined {
  const { src, imm, imm64Hi, slot } = insn;
  switch (src) {
    case PSEUDO.map:
      return `map[${spec.maps[imm]?.name ?? `idx:${imm}`}]`;
    case PSEUDO.mapValue: {
      const variable = spec.variables.find(
        (row) => row.map === imm && row.offset <= imm64Hi && imm64Hi < row.offset + Math.max(row.size, 1),
      );
      const inside = variable && imm64Hi > variable.offset ? `+${imm64Hi - variable.offset}` : '';
      const name = variable ? ` <${variable.name}${inside}>` : '';
      return `map[${spec.maps[imm]?.name ?? `idx:${imm}`}][0]+${imm64Hi}${name}`;
    }
    case PSEUDO.func:
      return `subprog[${imm < 0 ? '' : '+'}${imm}] <${functions.get(slot + imm + 1) ?? '?'}>`;
    case PSEUDO.extern:
      return `extern ${spec.externs[imm]?.name ?? imm}`;
    default:
      return undefined;
  }
}

interface Line {
  readonly insn: Insn;
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Text of each instruction by slot, without its number. */
export function instructionTexts(api: Api, spec: ObjectSpec, program: ProgramSpec): Map<number, string> {
  return new Map(linesOf(api, spec, program).map(({ insn, text }) => [insn.slot, text.replace(/^\s*\d+: /, '')]));
}

function linesOf(api: Api, spec: ObjectSpec, program: ProgramSpec): Line[] {
  const context = namesFor(api, spec, program);
  return api.decodeProgram(program.insns).map((insn) => ({
    insn,
    bytes: program.insns.subarray(insn.slot * 8, (insn.slot + insn.slots) * 8),
    text: api.disassembleLine(insn, context),
  }));
}

/** `int firewall(struct xdp_md *ctx)`, or the bare name without BTF. */
function signature(spec: ObjectSpec, name: string, typeId: number): string {
  const { btf } = spec;
  const type = btf && typeId > 0 ? btf.type(typeId) : undefined;
  const proto = type?.kind === 'func' ? btf!.type(type.type) : undefined;
  if (!btf || proto?.kind !== 'func_proto') return name;
  const params = proto.params.map((param) => declare(btf, param.type, param.name)).join(', ');
  return `${declare(btf, proto.type, name)}(${params || 'void'})`;
}

function programText(
  api: Api,
  spec: ObjectSpec,
  program: ProgramSpec,
  options: { readonly source?: SourceLines; readonly raw?: boolean },
  sink: TextSink,
): void {
  const starts = new Map(program.funcs.map((func) => [func.insn, func]));
  const source = new Map(options.source ? program.lines.map((line) => [line.slot, line]) : []);
  if (starts.size === 0) sink.line(`${program.name}:`);
  let last = '';
  for (const { insn, bytes, text: code } of linesOf(api, spec, program)) {
    const func = starts.get(insn.slot);
    if (func) {
      const section = func.insn === 0 ? `  ; section ${program.section}` : '';
      sink.line(`${signature(spec, func.name, func.btfTypeId)}:${section}`);
      last = '';
    }
    const line = source.get(insn.slot);
    const text = line && options.source!.text(line);
    if (text && text !== last) sink.line(`; ${text}`);
    if (text) last = text;
    sink.line(code);
    if (options.raw) sink.line(`       ${hexText(bytes).replace(/(..)(?!$)/g, '$1 ')}`);
  }
}

function programJson(api: Api, spec: ObjectSpec, program: ProgramSpec, options: DisasmOptions): unknown {
  const source = new Map(options.source ? program.lines.map((line) => [line.slot, line]) : []);
  return {
    program: program.name,
    section: program.section,
    type: program.type,
    functions: program.funcs.map(({ name, insn, count }) => ({ name, insn, count })),
    insns: linesOf(api, spec, program).map(({ insn, bytes, text }) => {
      const line = source.get(insn.slot);
      return {
        insn: insn.slot,
        text: text.replace(/^\s*\d+: (\([0-9a-f]{2}\) )?/, ''),
        ...(options.raw && { bytes: hexText(bytes) }),
        ...(line && { file: line.file, line: line.line, source: line.text }),
      };
    }),
  };
}
