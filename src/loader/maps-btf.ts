import type { Btf } from './btf.ts';
import { BTF_LINKAGE, type BtfMember, type BtfOf } from './btf-types.ts';
import type { ElfObject } from './elf.ts';
import { kernelName, mapTypeId, mapTypeName } from './kernel-names.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderMap } from './opened.ts';
import type { MapSpec } from './spec.ts';

const PAGE_SIZE = 4096;
const PIN_BY_NAME = 1;
/** Default pin directory of libbpf. */
const PIN_ROOT = '/sys/fs/bpf';

/** Map types that take `values`. */
const WITH_VALUES: readonly number[] = [mapTypeId.array_of_maps, mapTypeId.hash_of_maps, mapTypeId.prog_array];

const WITHOUT_BTF_IDS = new Set<number>(
  (
    [
      'perf_event_array',
      'cgroup_array',
      'stack_trace',
      'array_of_maps',
      'hash_of_maps',
      'devmap',
      'devmap_hash',
      'cpumap',
      'xskmap',
      'sockmap',
      'sockhash',
      'queue',
      'stack',
      'arena',
    ] as const
  ).map((name) => mapTypeId[name]),
);

/** True for map types that libbpf creates without key and value type ids. libbpf: bpf_object__create_map() */
export function createdWithoutBtf(typeId: number): boolean {
  return WITHOUT_BTF_IDS.has(typeId);
}

/** Ring buffers hold a power of two of pages: the size that libbpf makes of another one. libbpf: adjust_ringbuf_sz() */
export function ringbufSize(size: number): number {
  if (size === 0) return 0;
  const pages = size / PAGE_SIZE;
  if (Number.isInteger(pages) && Number.isInteger(Math.log2(pages))) return size;
  for (let larger = PAGE_SIZE; larger <= 0xffffffff; larger *= 2) {
    if (larger > size) return larger;
  }
  return size;
}

interface Definition {
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  numaNode: number;
  mapExtra: number;
  pinning: number;
  keyTypeId: number;
  valueTypeId: number;
  inner?: MapSpec;
  valuesOffset?: number;
}

/** Options for reading map definitions. */
export interface MapReading {
  /** Ignore members that are not known instead of refusing the object. */
  readonly relaxed: boolean;
}

/** Maps of the section `.maps`, in the order of their ELF offsets. libbpf: bpf_object__init_user_btf_maps() */
export function btfMaps(elf: ElfObject, btf: Btf, options: MapReading): LoaderMap[] {
  const section = elf.sections.find((candidate) => candidate.name === '.maps');
  if (!section) return [];
  const datasec = btf.find('.maps', 'datasec');
  if (!datasec) throw new ObjectError('ENOENT', "DATASEC '.maps' not found.", { section: '.maps' });
  const maps = datasec.vars.map((entry, index) => {
    const variable = btf.type(entry.type);
    const fail = mapError(variable.name, entry.offset);
    if (variable.name === '') throw new ObjectError('EINVAL', `map #${index}: empty name.`, { section: '.maps' });
    if (entry.offset + entry.size > section.size) throw fail('BTF data is corrupted.');
    if (variable.kind !== 'var') throw fail(`unexpected var kind ${variable.kind}.`);
    if (variable.linkage !== BTF_LINKAGE.GLOBAL) {
      const linkage = variable.linkage === BTF_LINKAGE.STATIC ? 'static' : 'extern';
      throw fail(`unsupported map linkage ${linkage}.`, 'EOPNOTSUPP');
    }
    const struct = btf.strip(variable.type);
    if (struct.kind !== 'struct') throw fail(`unexpected def kind ${variable.kind}.`);
    if (struct.size > entry.size) throw fail('invalid def size.');
    const definition = readDefinition(btf, variable.name, struct, { ...options, inner: false, offset: entry.offset });
    if (definition.type === 0) throw fail("map type isn't specified.");
    return {
      spec: toSpec(variable.name, definition),
      index: 0,
      section: section.index,
      offset: entry.offset,
      size: entry.size,
      valuesOffset: definition.valuesOffset,
    };
  });
  const arenas = maps.filter((map) => map.spec.typeId === mapTypeId.arena);
  if (arenas.length > 1) {
    throw mapError(arenas[1]!.spec.name, arenas[1]!.offset)('only single ARENA map is supported');
  }
  return maps;
}

function mapError(map: string, offset: number) {
  return (text: string, code: 'EINVAL' | 'EOPNOTSUPP' = 'EINVAL') =>
    new ObjectError(code, `map '${map}': ${text}`, { section: '.maps', offset });
}

function toSpec(name: string, from: Definition): MapSpec {
  const ringbuf = from.type === mapTypeId.ringbuf || from.type === mapTypeId.user_ringbuf;
  const spec: MapSpec = {
    name,
    kernelName: kernelName(name),
    type: mapTypeName(from.type),
    typeId: from.type,
    keySize: from.keySize,
    valueSize: from.valueSize,
    maxEntries: ringbuf ? ringbufSize(from.maxEntries) : from.maxEntries,
    flags: from.flags,
    mapExtra: from.mapExtra,
    numaNode: from.numaNode,
    pinning: from.pinning,
    frozen: false,
    keyTypeId: from.keyTypeId,
    valueTypeId: from.valueTypeId,
    section: '.maps',
    origin: 'btf',
  };
  if (from.inner) spec.innerMap = from.inner;
  if (from.pinning === PIN_BY_NAME) spec.pinPath = `${PIN_ROOT}/${name.replaceAll('.', '_')}`;
  return spec;
}

interface Reading extends MapReading {
  readonly inner: boolean;
  readonly offset: number;
}

/** libbpf: parse_btf_map_def() */
function readDefinition(btf: Btf, map: string, struct: BtfOf<'struct'>, options: Reading): Definition {
  const fail = mapError(map, options.offset);
  const def: Definition = {
    type: 0,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
    numaNode: 0,
    mapExtra: 0,
    pinning: 0,
    keyTypeId: 0,
    valueTypeId: 0,
  };
  const setSize = (which: 'keySize' | 'valueSize', size: number) => {
    const what = which === 'keySize' ? 'key' : 'value';
    if (def[which] !== 0 && def[which] !== size) throw fail(`conflicting ${what} size ${def[which]} != ${size}.`);
    def[which] = size;
  };
  const readSpec = (what: 'key' | 'value', member: BtfMember) => {
    const pointer = btf.type(member.type);
    if (pointer.kind !== 'ptr') throw fail(`${what} spec is not PTR: ${pointer.kind}.`);
    const size = btf.size(pointer.type);
    if (size === undefined) throw fail(`can't determine ${what} size for type [${pointer.type}]: -22.`);
    setSize(what === 'key' ? 'keySize' : 'valueSize', size);
    def[what === 'key' ? 'keyTypeId' : 'valueTypeId'] = pointer.type;
  };

  struct.members.forEach((member, index) => {
    const uint = () => readUint(btf, member, fail);
    switch (member.name) {
      case '':
        throw fail(`invalid field #${index}.`);
      case 'type':
        def.type = uint();
        break;
      case 'max_entries':
        def.maxEntries = uint();
        break;
      case 'map_flags':
        def.flags = uint();
        break;
      case 'numa_node':
        def.numaNode = uint();
        break;
      case 'key_size':
        setSize('keySize', uint());
        break;
      case 'value_size':
        setSize('valueSize', uint());
        break;
      case 'key':
        readSpec('key', member);
        break;
      case 'value':
        readSpec('value', member);
        break;
      case 'values':
        readValues(btf, map, struct, index, def, options);
        break;
      case 'pinning':
        if (options.inner) throw fail("inner def can't be pinned.");
        def.pinning = uint();
        if (def.pinning > PIN_BY_NAME) throw fail(`invalid pinning value ${def.pinning}.`);
        break;
      case 'map_extra':
        def.mapExtra = readUlong(btf, member, fail);
        break;
      default:
        if (!options.relaxed) throw fail(`unknown field '${member.name}'.`, 'EOPNOTSUPP');
    }
  });
  return def;
}

type Fail = ReturnType<typeof mapError>;

/** `int (*name)[value]` */
function readUint(btf: Btf, member: BtfMember, fail: Fail): number {
  const pointer = btf.strip(member.type);
  if (pointer.kind !== 'ptr') throw fail(`attr '${member.name}': expected PTR, got ${pointer.kind}.`);
  const array = btf.type(pointer.type);
  if (array.kind !== 'array') throw fail(`attr '${member.name}': expected ARRAY, got ${array.kind}.`);
  return array.nelems;
}

/** `enum { unique = value } name`, or the form of `readUint`. */
function readUlong(btf: Btf, member: BtfMember, fail: Fail): number {
  const type = btf.strip(member.type);
  if (type.kind === 'ptr') return readUint(btf, member, fail);
  if ((type.kind !== 'enum' && type.kind !== 'enum64') || type.values.length !== 1) {
    throw fail(`attr '${member.name}': invalid __ulong`);
  }
  return Number(BigInt.asUintN(64, type.values[0]!.value));
}

function readValues(
  btf: Btf,
  map: string,
  struct: BtfOf<'struct'>,
  index: number,
  def: Definition,
  options: Reading,
): void {
  const fail = mapError(map, options.offset);
  const member = struct.members[index]!;
  const isProgArray = def.type === mapTypeId.prog_array;
  const what = isProgArray ? 'prog-array value' : 'map-in-map inner';
  if (options.inner) throw fail('multi-level inner maps not supported.', 'EOPNOTSUPP');
  if (index !== struct.members.length - 1) throw fail(`'${member.name}' member should be last.`);
  if (!WITH_VALUES.includes(def.type)) throw fail('should be map-in-map or prog-array.', 'EOPNOTSUPP');
  if (def.valueSize !== 0 && def.valueSize !== 4) throw fail(`conflicting value size ${def.valueSize} != 4.`);
  def.valueSize = 4;
  const array = btf.strip(member.type);
  if (array.kind !== 'array' || array.nelems !== 0) throw fail(`${what} spec is not a zero-sized array.`);
  const pointer = btf.strip(array.type);
  if (pointer.kind !== 'ptr') throw fail(`${what} def is of unexpected kind ${pointer.kind}.`);
  const target = btf.strip(pointer.type);
  if (isProgArray) {
    if (target.kind !== 'func_proto') throw fail(`prog-array value def is of unexpected kind ${target.kind}.`);
  } else {
    if (target.kind !== 'struct') throw fail(`map-in-map inner def is of unexpected kind ${target.kind}.`);
    const name = `${map}.inner`;
    def.inner = toSpec(name, readDefinition(btf, name, target, { ...options, inner: true }));
  }
  def.valuesOffset = Math.floor(member.bitOffset / 8);
}
