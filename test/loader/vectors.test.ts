import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Btf } from '../../src/loader/btf.ts';
import { readElf } from '../../src/loader/elf.ts';
import { prepareObject } from '../../src/loader/object.ts';
import { ObjectError } from '../../src/loader/object-error.ts';
import { openObject } from '../../src/loader/open.ts';
import type { OpenedObject } from '../../src/loader/opened.ts';
import type { MapSpec, ObjectSpec, ProgramSpec } from '../../src/loader/spec.ts';

const FILE = '../shared/reference/loader/vectors.json';

interface VectorMap {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly mapExtra: number;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  readonly numaNode: number;
}

interface Vector {
  readonly name: string;
  readonly objectName: string;
  readonly kconfig: string | null;
  readonly targetBtf: string | null;
  readonly object: string;
  readonly messages: string[];
  readonly openError: number;
  readonly prepareError: number | null;
  readonly maps: VectorMap[];
  readonly programs: { name: string; section: string; type: number; expectedAttachType: number; autoload: boolean }[];
  readonly final: { program: string; insns: string[]; funcInfo: string; lineInfo: string }[];
}

/** Map references of ours in the vectors' form: symbolic file descriptors. */
function insnLines(program: ProgramSpec): string[] {
  const view = new DataView(program.insns.buffer, program.insns.byteOffset, program.insns.byteLength);
  const lines: string[] = [];
  let second = false;
  for (let at = 0; at < view.byteLength; at += 8) {
    const opcode = view.getUint8(at);
    const dst = view.getUint8(at + 1) & 15;
    let src = view.getUint8(at + 1) >> 4;
    let imm = `${view.getInt32(at + 4, true)}`;
    if (opcode === 0x18 && !second && (src === 5 || src === 6)) {
      src -= 4;
      imm = `m${imm}`;
    }
    lines.push(`${opcode.toString(16).padStart(2, '0')} ${dst} ${src} ${view.getInt16(at + 2, true)} ${imm}`);
    second = opcode === 0x18 && !second;
  }
  return lines;
}

function mapFacts(map: MapSpec): VectorMap {
  const { name, typeId, keySize, valueSize, maxEntries, flags, mapExtra, keyTypeId, valueTypeId, numaNode } = map;
  return { name, type: typeId, keySize, valueSize, maxEntries, flags, mapExtra, keyTypeId, valueTypeId, numaNode };
}

const vectors: Vector[] = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')).vectors : [];

describe('objects prepared by libbpf', () => {
  test('the reference vectors are at hand', (ctx) => {
    if (vectors.length === 0) ctx.skip(`${FILE} is not there`);
    expect(vectors.length).toBe(25);
  });

  test.each(vectors.map((vector) => [vector.name, vector] as const))('%s comes out as in libbpf', (_name, vector) => {
    const bytes = new Uint8Array(Buffer.from(vector.object, 'base64'));
    let object: OpenedObject | undefined;
    let spec: ObjectSpec | undefined;
    let error: ObjectError | undefined;
    let stage = 'open';
    try {
      object = openObject(bytes, { name: vector.objectName, dialect: 'libbpf' });
      stage = 'load';
      const own = readElf(bytes, 'x').sections.find((section) => section.name === '.BTF');
      spec = prepareObject(object, {
        kconfig: vector.kconfig ?? undefined,
        kernelVersion: '6.18.44',
        targetBtf: vector.targetBtf === 'own' ? new Btf(own!.data) : undefined,
      });
    } catch (thrown) {
      if (!(thrown instanceof ObjectError)) throw thrown;
      error = thrown;
    }
    expect({ open: error?.stage === 'open' ? error.errno : 0 }).toEqual({ open: vector.openError });
    if (vector.openError !== 0 || vector.prepareError) {
      expect(error?.stage).toBe(stage);
      if (vector.prepareError) expect(error?.errno).toBe(vector.prepareError);
      expect(error?.message).toContain(vector.messages[0]!.replace('libbpf: ', ''));
      return;
    }
    expect(error).toBeUndefined();
    expect(spec!.maps.map(mapFacts)).toEqual(vector.maps);
    expect(
      spec!.programs.map(({ name, section, typeId, expectedAttachType, autoload }) => ({
        name,
        section,
        type: typeId,
        expectedAttachType,
        autoload,
      })),
    ).toEqual(vector.programs);
    for (const message of vector.messages) expect(spec!.warnings).toContain(message.replace('libbpf: ', ''));
    const loaded = spec!.programs.filter((program) => program.autoload);
    expect(loaded.map((program) => program.name)).toEqual(vector.final.map((final) => final.program));
    for (const [i, final] of vector.final.entries()) {
      const program = loaded[i]!;
      expect(insnLines(program)).toEqual(final.insns);
      expect(program.funcs.map((func) => `${func.insn}:${func.btfTypeId}`).join(' ')).toBe(final.funcInfo);
      const lines = program.lines.map((line) => `${line.slot}:${line.line * 1024 + line.column}`);
      expect(lines.join(' ')).toBe(final.lineInfo);
    }
  });
});
