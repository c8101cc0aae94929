import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { errnoName } from '../../src/base/errno.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { decodeProgram } from '../../src/vm/isa/decode.ts';
import { encodeProgram, exit, ja, mov64Imm } from '../../src/vm/isa/encode.ts';
import { INSTRUCTIONS } from '../../src/vm/isa/instructions.ts';
import { checkStructure, validateProgram } from '../../src/vm/isa/validate.ts';
import { closeFd, progLoad } from '../oracle/kernel.ts';
import { recorded } from '../oracle/record.ts';
import { DEAD_CODE, REFUSED, SOCKET_FILTER, TAKEN, type ValidateCase, XDP } from './validate-cases.ts';

const RECORDED = fileURLToPath(new URL('../recorded/', import.meta.url));

/** The kernel's errno (or `ok`) and the line of its log that is the reason. */
interface Answer {
  readonly name: string;
  readonly errno: string;
  readonly message: string;
}

const LOG_OF_EXECUTION =
  /^(\d+: |processed |; |from \d|caller:|callee:|mark_precise|func#|verification time|frame\d|\s|$)/;

function ask(row: ValidateCase): Answer {
  const { fd, log } = progLoad({ type: row.type ?? SOCKET_FILTER, insns: encodeProgram(assemble(row.text)) });
  if (fd >= 0) {
    closeFd(fd);
    return { name: row.name, errno: 'ok', message: '' };
  }
  const reason = log.split('\n').find((line) => !LOG_OF_EXECUTION.test(line));
  return { name: row.name, errno: errnoName(fd), message: reason ?? '' };
}

const { answer: answers } = recorded('isa/validate', () => [...REFUSED, ...TAKEN, ...DEAD_CODE].map(ask), RECORDED);
const answerOf = new Map(answers.map((row) => [row.name, row]));

function validate(row: ValidateCase) {
  return validateProgram(assemble(row.text), {
    funcInfo: false,
    fdArray: false,
    ldAbs: (row.type ?? SOCKET_FILTER) !== XDP,
  });
}

describe('what the kernel refuses for its encoding is refused in the same words', () => {
  for (const row of REFUSED) {
    test(`${row.behaviour ? `[${row.behaviour}] ` : ''}${row.name}`, () => {
      const kernel = answerOf.get(row.name)!;
      const found = validate(row);
      expect(kernel.errno).not.toBe('ok');
      expect(found?.errno).toBe(kernel.errno);
      // bpf_prog_load() refuses sizes before there is a log
      if (kernel.message !== '') expect(found?.message).toBe(kernel.message);
    });
  }
});

describe('what the kernel takes is taken', () => {
  for (const row of TAKEN) {
    test(row.name, () => {
      expect(answerOf.get(row.name)!.errno).toBe('ok');
      expect(validate(row)).toBeUndefined();
    });
  }
});

describe('opcodes', () => {
  /** The opcode in code that no execution reaches, with all fields 0: only the kernel's list of opcodes decides. */
  const program = (opcode: number) => {
    const byte = opcode.toString(16).padStart(2, '0');
    return `r0 = 0\nif r0 == 0 goto x\nraw ${byte}00000000000000\nraw 0500000000000000\nx: exit`;
  };
  const { answer: table } = recorded(
    'isa/opcodes',
    () => Array.from({ length: 256 }, (_, opcode) => ask({ name: `${opcode}`, text: program(opcode) })),
    RECORDED,
  );

  test('each of the 256 is known or refused as in the kernel, in its words', () => {
    const ours = table.map((row) => {
      const found = checkStructure(encodeProgram(assemble(program(Number(row.name)))));
      return { name: row.name, errno: found?.errno ?? 'ok', message: found?.message ?? '' };
    });
    expect(ours).toEqual(table);
    expect(table.filter((row) => row.errno === 'ok').length).toBeGreaterThan(100);
  });
});

describe('the instruction list', () => {
  test('has a name for each instruction, and none twice', () => {
    const names = INSTRUCTIONS.map((row) => row.name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('no two rows can be the same instruction', () => {
    const keys = INSTRUCTIONS.map((row) => `${row.opcode}/${row.src}/${row.off}/${row.imm}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test.each([
    ['alu64_add_k', 1, '3.18'],
    ['jlt_x', 2, '4.14'],
    ['jmp32_jeq_k', 3, '5.1'],
    ['atomic_add_dw', 1, '3.18'],
    ['atomic_cmpxchg_w', 3, '5.12'],
    ['alu32_movsx8', 4, '6.6'],
    ['alu64_sdiv_x', 4, '6.6'],
    ['bswap32', 4, '6.6'],
    ['ldsx_h', 4, '6.6'],
    ['gotol', 4, '6.6'],
    ['may_goto', 0, '6.9'],
    ['atomic_load_acquire_b', 4, '6.15'],
    ['call', 1, '4.16'],
    ['call_kfunc', 1, '5.13'],
  ])('%s is of cpu v%i and came with Linux %s', (name, cpu, since) => {
    expect(INSTRUCTIONS.find((row) => row.name === name)).toMatchObject({ cpu, since });
  });
});

describe('code that is never executed', () => {
  for (const row of DEAD_CODE) {
    test(`${row.name}: its structure is good, its fields are checked by validateProgram alone`, () => {
      expect(answerOf.get(row.name)!.errno).toBe('ok');
      expect(checkStructure(encodeProgram(assemble(row.text)))).toBeUndefined();
      expect(validate(row)?.slot).toBe(2);
    });
  }
});

describe('limits', () => {
  test('a million instructions are taken, one more is E2BIG, and without CAP_BPF the limit is 4096', () => {
    const program = (count: number) => {
      const bytes = new Uint8Array(count * 8);
      bytes.fill(0);
      const movs = encodeProgram([mov64Imm(0, 0)]);
      for (let i = 0; i < count - 1; i++) bytes.set(movs, i * 8);
      bytes.set(encodeProgram([exit()]), (count - 1) * 8);
      return bytes;
    };
    expect(validateProgram(program(1_000_000))).toBeUndefined();
    expect(validateProgram(program(1_000_001))?.errno).toBe('E2BIG');
    expect(validateProgram(program(4096), { maxInsns: 4096 })).toBeUndefined();
    expect(validateProgram(program(4097), { maxInsns: 4096 })?.errno).toBe('E2BIG');
  });

  test('a length that is not a multiple of 8 is named', () => {
    expect(validateProgram(new Uint8Array(12))).toEqual({
      slot: -1,
      message: '12 bytes are not whole instructions',
      errno: 'EINVAL',
    });
  });

  test('the slot of the instruction is told, counted with second halves', () => {
    const found = validateProgram(assemble('r1 = 5 ll\nr0 = 1\nr0 /= 0\nexit'));
    expect(found).toEqual({ slot: 3, message: 'div by zero', errno: 'EINVAL' });
  });

  test('bytes and decoded instructions give the same answer', () => {
    const bytes = encodeProgram([mov64Imm(0, 0), ja(5), exit()]);
    expect(validateProgram(bytes)).toEqual(validateProgram(decodeProgram(bytes)));
  });
});
