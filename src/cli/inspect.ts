import { Command } from 'commander';
import type { MapSpec, ObjectFeatures, ObjectSpec, ProgramSpec } from '../index.ts';
import { attachTypeName } from './attach-types.ts';
import { definitions, typeText } from './c-types.ts';
import type { CommandContext } from './command-line.ts';
import { TextSink } from './io.ts';
import { toJson } from './json.ts';
import { readObject } from './read-input.ts';
import { type CommonOptions, isJson, withCommon } from './shared-options.ts';
import { sinceOf } from './since.ts';
import { counted, formatTable, grouped } from './table.ts';

type Api = typeof import('../index.ts');

const MAP_FLAGS = [
  'NO_PREALLOC',
  'NO_COMMON_LRU',
  'NUMA_NODE',
  'RDONLY',
  'WRONLY',
  'STACK_BUILD_ID',
  'ZERO_SEED',
  'RDONLY_PROG',
  'WRONLY_PROG',
  'CLONE',
  'MMAPABLE',
  'PRESERVE_ELEMS',
  'INNER_MAP',
  'LINK',
  'PATH_FD',
  'VTYPE_BTF_OBJ_FD',
  'TOKEN_FD',
  'SEGV_ON_FAULT',
  'NO_USER_CONV',
  'RB_OVERWRITE',
] as const;

/** `bpflab inspect` */
export function inspectCommand({ io }: CommandContext): Command {
  return withCommon(
    new Command('inspect')
      .description('programs, maps, BTF, relocations and features of an object')
      .argument('<obj>', 'BPF object file, - for standard input'),
  ).action(async (path: string, options: CommonOptions) => {
    const { bytes, file } = await readObject(path, io);
    const api = await import('../index.ts');
    const opened = api.openObject(bytes, { file });
    const spec = api.prepareObject(opened);
    if (!opened.elf.littleEndian) spec.warnings.push('big-endian: it can be shown, but not loaded');
    const description = describeObject(api, spec, file);
    const sink = new TextSink(io.stdout);
    if (isJson(options)) sink.line(toJson(description, options.pretty));
    else for (const line of objectText(spec, description, options.verbose > 0)) sink.line(line);
    sink.flush();
  });
}

type Description = ReturnType<typeof describeObject>;

/** Everything that `inspect` tells, as plain data. */
export function describeObject(api: Api, spec: ObjectSpec, file: string) {
  const features = api.describeFeatures(spec);
  const helper = (id: number) => api.helperName(id)?.name ?? `unknown#${id}`;
  const since = sinceOf(api, spec, features);
  return {
    file,
    license: spec.license,
    ...(spec.kernelVersion !== undefined && { kernelVersion: spec.kernelVersion }),
    programs: spec.programs.map((program, index) => describeProgram(api, program, features.programs[index]!, helper)),
    maps: spec.maps.map((map) => describeMap(spec, map)),
    externs: spec.externs.map(({ name, kind, weak }) => ({ name, kind, weak })),
    kfuncs: spec.kfuncs.map(({ name, weak }) => ({
      name,
      weak,
      implemented: api.KFUNCS.some((row) => row.name === name),
    })),
    variables: spec.variables.map((variable) => ({
      name: variable.name,
      map: spec.maps[variable.map]?.name,
      offset: variable.offset,
      size: variable.size,
      ...(spec.btf && variable.typeId > 0 && { type: typeText(spec.btf, variable.typeId) }),
    })),
    btf: spec.btf ? { types: spec.btf.count - 1 } : undefined,
    relocations: { core: spec.coreRelocations },
    features: {
      cpu: features.cpu,
      families: features.families,
      helpers: features.helpers.map(helper),
      kfuncs: features.kfuncs,
      mapTypes: features.mapTypes,
      loops: features.loops,
      subprograms: features.subprograms,
      globalData: features.globalData,
    },
    kernel: since,
    warnings: spec.warnings,
  };
}

function describeProgram(
  api: Api,
  program: ProgramSpec,
  features: ObjectFeatures['programs'][number],
  helper: (id: number) => string,
) {
  const missing = program.autoload
    ? features.helpers.filter((id) => !api.platform.helper(id, program.type)).map(helper)
    : [];
  return {
    name: program.name,
    section: program.section,
    type: program.type,
    ...(attachTypeName(program.type, program.expectedAttachType) !== undefined && {
      attachType: attachTypeName(program.type, program.expectedAttachType),
    }),
    ...(program.attachTarget !== undefined && { attachTarget: program.attachTarget }),
    flags: program.flags,
    autoload: program.autoload,
    insns: features.insns,
    cpu: features.cpu,
    subprograms: program.funcs.slice(1).map((func) => func.name),
    helpers: features.helpers.map(helper),
    kfuncs: features.kfuncs,
    /** Helpers that it calls and the lab does not have for its type: it cannot run here. */
    missing,
  };
}

interface MapDescription {
  name: string;
  type: string;
  key: { size: number; type?: string };
  value: { size: number; type?: string };
  maxEntries: number;
  flags: string[];
  pinned: boolean;
  inner?: MapDescription;
}

function describeMap(spec: ObjectSpec, map: MapSpec): MapDescription {
  const part = (size: number, typeId: number) => ({
    size,
    ...(spec.btf && typeId > 0 && { type: typeText(spec.btf, typeId) }),
  });
  return {
    name: map.name,
    type: map.type,
    key: part(map.keySize, map.keyTypeId),
    value: part(map.valueSize, map.valueTypeId),
    maxEntries: map.maxEntries,
    flags: MAP_FLAGS.filter((_, bit) => map.flags & (1 << bit)),
    pinned: map.pinning !== 0,
    ...(map.innerMap && { inner: describeMap(spec, map.innerMap) }),
  };
}

/** The same as text. */
function objectText(spec: ObjectSpec, object: Description, verbose: boolean): string[] {
  const lines: string[] = [];
  const license = object.license ? `license ${object.license}` : 'no license';
  const btf = object.btf ? `BTF ${counted(object.btf.types, 'type')}` : 'no BTF';
  lines.push(`${object.file}: ${license}, ${btf}, ${counted(object.relocations.core, 'CO-RE relocation')}`);

  lines.push('', counted(object.programs.length, 'program'));
  lines.push(
    ...formatTable(
      [
        { title: 'name' },
        { title: 'section' },
        { title: 'type' },
        { title: 'insns', right: true },
        { title: 'cpu' },
        { title: 'subprograms' },
      ],
      object.programs.map((program) => [
        program.name,
        program.section,
        program.attachType && program.attachType !== program.type
          ? `${program.type} (${program.attachType})`
          : program.type,
        grouped(program.insns),
        `v${program.cpu}`,
        listed(program.subprograms, verbose),
      ]),
      { indent: '  ' },
    ),
  );
  for (const program of object.programs) {
    const calls = [...program.helpers, ...program.kfuncs];
    if (calls.length)
      lines.push(`  ${program.name} calls ${calls.map((name) => name.replace(/^bpf_/, '')).join(', ')}`);
    if (program.missing.length) {
      lines.push(`  ${program.name} cannot run here, for want of ${program.missing.join(', ')}`);
    }
  }

  if (object.maps.length) {
    lines.push('', counted(object.maps.length, 'map'));
    const rows: string[][] = [];
    const row = (map: MapDescription, name: string) => {
      rows.push([name, map.type, sized(map.key), sized(map.value), grouped(map.maxEntries), map.flags.join(' ')]);
      if (map.inner) row(map.inner, `  inner of ${map.name}`);
    };
    for (const map of object.maps) row(map, map.name);
    const columns = [
      { title: 'name' },
      { title: 'type' },
      { title: 'key' },
      { title: 'value' },
      { title: 'entries', right: true },
      { title: 'flags' },
    ];
    lines.push(...formatTable(columns, rows, { indent: '  ' }));
  }
  const types = spec.btf
    ? definitions(
        spec.btf,
        spec.maps.filter((map) => map.origin === 'btf').flatMap((map) => typesOf(map)),
      )
    : [];
  if (types.length)
    lines.push('', 'types of keys and values', ...types.flatMap((text) => text.split('\n')).map((line) => `  ${line}`));
  if (object.variables.length) {
    lines.push('', counted(object.variables.length, 'variable'));
    const rows = object.variables.map((row) => [row.name, row.map ?? '', row.type ?? `${row.size} bytes`]);
    lines.push(...formatTable([{ title: 'name' }, { title: 'map' }, { title: 'type' }], rows, { indent: '  ' }));
  }
  if (object.externs.length) {
    lines.push(
      '',
      `externs  ${object.externs.map((row) => `${row.name} (${row.weak ? 'weak ' : ''}${row.kind})`).join(', ')}`,
    );
  }
  lines.push('', `needs    ${needsText(object)}`);
  for (const warning of object.warnings) lines.push(`warning  ${warning}`);
  return lines;
}

function typesOf(map: MapSpec): number[] {
  return [map.keyTypeId, map.valueTypeId, ...(map.innerMap ? typesOf(map.innerMap) : [])];
}

function sized({ size, type }: { size: number; type?: string }): string {
  return type === undefined ? `${size} B` : `${type} (${size} B)`;
}

function listed(names: readonly string[], all: boolean): string {
  const shown = all ? names : names.slice(0, 4);
  return shown.join(', ') + (shown.length < names.length ? ` and ${names.length - shown.length} more` : '');
}

function needsText({ features, kernel }: Description): string {
  const parts = [`cpu v${features.cpu}`];
  if (features.families.length) parts.push(features.families.join(', '));
  if (features.globalData) parts.push('global data');
  return `Linux ${kernel.version}${kernel.because ? ` (${kernel.because})` : ''}; ${parts.join(', ')}`;
}
