import {
  ALU_OPS,
  ATOMIC_OPS,
  BPF_ABS,
  BPF_ADD,
  BPF_ADDR_SPACE_CAST,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_B,
  BPF_CALL,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_H,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JLE,
  BPF_JLT,
  BPF_JMP,
  BPF_JMP32,
  BPF_JSLE,
  BPF_JSLT,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MEM,
  BPF_MEMSX,
  BPF_MOD,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_TO_BE,
  BPF_TO_LE,
  BPF_X,
  JMP_OPS,
  OP_LD_IMM64,
  PSEUDO_LD_IMM64,
  SIZES,
} from './insn.ts';

/** One instruction of the set that Linux 6.18 knows: opcode, the fields that select it, and where it came in. */
export interface InstructionRow {
  /** Name in the kernel's macro words, `jmp32_jeq_k`. */
  readonly name: string;
  readonly opcode: number;
  /** Field values that select this instruction among those of the same opcode. */
  readonly src?: number;
  readonly off?: number;
  readonly imm?: number;
  /** Text with placeholders. */
  readonly syntax: string;
  /** LLVM's `-mcpu=` from which its back end emits it; 0 when compilers emit it only by name or builtin. */
  readonly cpu: 0 | 1 | 2 | 3 | 4;
  /** First kernel whose verifier takes it (3.18 is the first with bpf()). */
  readonly since: string;
}

const FIRST = '3.18';

function aluRows(cls: typeof BPF_ALU | typeof BPF_ALU64): InstructionRow[] {
  const wide = cls === BPF_ALU64;
  const prefix = wide ? 'alu64' : 'alu32';
  const r = wide ? 'r' : 'w';
  // the kernel took 32-bit ALU from the start; LLVM emits it by default from v3
  const cpu = wide ? 1 : 3;
  const rows: InstructionRow[] = [];
  for (const op of ALU_OPS) {
    if (op.code === BPF_END) continue;
    if (op.code === BPF_NEG) {
      rows.push({ name: `${prefix}_neg`, opcode: cls | op.code, syntax: `${r}1 = -${r}1`, cpu, since: FIRST });
      continue;
    }
    for (const [source, suffix, operand] of [
      [BPF_K, 'k', 'imm'],
      [BPF_X, 'x', `${r}2`],
    ] as const) {
      const opcode = cls | op.code | source;
      const plain = { name: `${prefix}_${op.name}_${suffix}`, opcode, syntax: `${r}1 ${op.symbol} ${operand}` };
      const selected = op.code === BPF_DIV || op.code === BPF_MOD || (op.code === BPF_MOV && source === BPF_X);
      rows.push(selected ? { ...plain, off: 0, cpu, since: FIRST } : { ...plain, cpu, since: FIRST });
      if ('signed' in op) {
        const syntax = `${r}1 ${op.signed} ${operand}`;
        rows.push({ name: `${prefix}_s${op.name}_${suffix}`, opcode, off: 1, syntax, cpu: 4, since: '6.6' });
      }
    }
  }
  for (const bits of wide ? [8, 16, 32] : [8, 16]) {
    const opcode = cls | BPF_MOV | BPF_X;
    const syntax = `${r}1 = (s${bits})${r}2`;
    rows.push({ name: `${prefix}_movsx${bits}`, opcode, off: bits, syntax, cpu: 4, since: '6.6' });
  }
  for (const bits of [16, 32, 64]) {
    if (wide) {
      const syntax = `r1 = bswap${bits} r1`;
      rows.push({ name: `bswap${bits}`, opcode: cls | BPF_END, imm: bits, syntax, cpu: 4, since: '6.6' });
    } else {
      for (const [order, name] of [
        [BPF_TO_LE, 'le'],
        [BPF_TO_BE, 'be'],
      ] as const) {
        const syntax = `r1 = ${name}${bits} r1`;
        rows.push({ name: `${name}${bits}`, opcode: cls | BPF_END | order, imm: bits, syntax, cpu: 1, since: FIRST });
      }
    }
  }
  return rows;
}

/** jlt, jle and their signed forms came later than the other conditions. */
const LATE_JUMPS: readonly number[] = [BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE];
const NO_CONDITION: readonly number[] = [BPF_JA, BPF_CALL, BPF_EXIT, BPF_JCOND];

function conditionRows(cls: typeof BPF_JMP | typeof BPF_JMP32): InstructionRow[] {
  const wide = cls === BPF_JMP;
  const r = wide ? 'r' : 'w';
  const rows: InstructionRow[] = [];
  for (const op of JMP_OPS) {
    if (NO_CONDITION.includes(op.code)) continue;
    const late = LATE_JUMPS.includes(op.code);
    const cpu = wide ? (late ? 2 : 1) : 3;
    const since = wide ? (late ? '4.14' : FIRST) : '5.1';
    const prefix = wide ? '' : 'jmp32_';
    for (const [source, suffix, operand] of [
      [BPF_K, 'k', 'imm'],
      [BPF_X, 'x', `${r}2`],
    ] as const) {
      const syntax = `if ${r}1 ${op.symbol} ${operand} goto pc+off`;
      rows.push({ name: `${prefix}${op.name}_${suffix}`, opcode: cls | op.code | source, syntax, cpu, since });
    }
  }
  return rows;
}

function memoryRows(): InstructionRow[] {
  const rows: InstructionRow[] = [];
  for (const size of SIZES) {
    const type = size.symbol;
    const at = `*(${type} *)(r1 +off)`;
    const common = { cpu: 1, since: FIRST } as const;
    rows.push({ name: `ldx_${size.name}`, opcode: BPF_LDX | BPF_MEM | size.code, syntax: `r2 = ${at}`, ...common });
    rows.push({ name: `stx_${size.name}`, opcode: BPF_STX | BPF_MEM | size.code, syntax: `${at} = r2`, ...common });
    rows.push({ name: `st_${size.name}`, opcode: BPF_ST | BPF_MEM | size.code, syntax: `${at} = imm`, ...common });
    if (size.signed) {
      const opcode = BPF_LDX | BPF_MEMSX | size.code;
      const syntax = `r2 = *(${size.signed} *)(r1 +off)`;
      rows.push({ name: `ldsx_${size.name}`, opcode, syntax, cpu: 4, since: '6.6' });
    }
  }
  for (const size of SIZES) {
    if (size.code === BPF_DW) continue;
    const abs = `r0 = *(${size.symbol} *)skb[imm]`;
    const ind = `r0 = *(${size.symbol} *)skb[r1 + imm]`;
    rows.push({ name: `ld_abs_${size.name}`, opcode: BPF_LD | BPF_ABS | size.code, syntax: abs, cpu: 1, since: FIRST });
    rows.push({ name: `ld_ind_${size.name}`, opcode: BPF_LD | BPF_IND | size.code, syntax: ind, cpu: 1, since: FIRST });
  }
  return rows;
}

function atomicRows(): InstructionRow[] {
  const rows: InstructionRow[] = [];
  for (const op of ATOMIC_OPS) {
    const ordered = op.code === BPF_LOAD_ACQ || op.code === BPF_STORE_REL;
    for (const size of SIZES) {
      if (!ordered && (size.code === BPF_B || size.code === BPF_H)) continue;
      const cpu = ordered ? 4 : op.code === BPF_ADD ? 1 : 3;
      const since = ordered ? '6.15' : op.code === BPF_ADD ? FIRST : '5.12';
      const name = `atomic_${op.name}_${size.name}`;
      const at = `(${size.symbol} *)(r1 +off)`;
      const wide = size.code === BPF_DW ? '64' : '';
      let syntax: string;
      if (op.name === 'load_acquire') syntax = `r2 = load_acquire(${at})`;
      else if (op.name === 'store_release') syntax = `store_release(${at}, r2)`;
      else if (op.name === 'cmpxchg') syntax = `r0 = atomic${wide}_cmpxchg(${at}, r0, r2)`;
      else if (op.fetch) syntax = `r2 = atomic${wide}_${op.symbol}(${at}, r2)`;
      else syntax = `lock *${at} ${op.symbol} r2`;
      rows.push({ name, opcode: BPF_STX | BPF_ATOMIC | size.code, imm: op.code, syntax, cpu, since });
    }
  }
  return rows;
}

const PSEUDO_SINCE = {
  imm: FIRST,
  map_fd: FIRST,
  map_value: '5.2',
  btf_id: '5.10',
  func: '5.13',
  map_idx: '5.14',
  map_idx_value: '5.14',
} satisfies Record<(typeof PSEUDO_LD_IMM64)[number]['name'], string>;

const PSEUDO_SYNTAX = {
  imm: 'imm64 ll',
  map_fd: 'map[id:imm]',
  map_value: 'map[id:imm][0]+off',
  btf_id: 'btf_id[imm]',
  func: 'subprog[+imm]',
  map_idx: 'map[idx:imm]',
  map_idx_value: 'map[idx:imm]+off',
} satisfies Record<(typeof PSEUDO_LD_IMM64)[number]['name'], string>;

/** Every instruction that a program for Linux 6.18 can hold. */
export const INSTRUCTIONS: readonly InstructionRow[] = [
  ...aluRows(BPF_ALU64),
  ...aluRows(BPF_ALU),
  ...conditionRows(BPF_JMP),
  ...conditionRows(BPF_JMP32),
  { name: 'ja', opcode: BPF_JMP | BPF_JA, syntax: 'goto pc+off', cpu: 1, since: FIRST },
  { name: 'gotol', opcode: BPF_JMP32 | BPF_JA, syntax: 'gotol pc+imm', cpu: 4, since: '6.6' },
  { name: 'may_goto', opcode: BPF_JMP | BPF_JCOND, src: 0, syntax: 'may_goto pc+off', cpu: 0, since: '6.9' },
  { name: 'call_helper', opcode: BPF_JMP | BPF_CALL, src: 0, syntax: 'call helper#imm', cpu: 1, since: FIRST },
  { name: 'call', opcode: BPF_JMP | BPF_CALL, src: BPF_PSEUDO_CALL, syntax: 'call pc+imm', cpu: 1, since: '4.16' },
  {
    name: 'call_kfunc',
    opcode: BPF_JMP | BPF_CALL,
    src: BPF_PSEUDO_KFUNC_CALL,
    syntax: 'call kernel-function#imm',
    cpu: 1,
    since: '5.13',
  },
  { name: 'exit', opcode: BPF_JMP | BPF_EXIT, syntax: 'exit', cpu: 1, since: FIRST },
  ...PSEUDO_LD_IMM64.map((row): InstructionRow => {
    const name = `ld_imm64_${row.name}`;
    const syntax = `r1 = ${PSEUDO_SYNTAX[row.name]}`;
    return { name, opcode: OP_LD_IMM64, src: row.code, syntax, cpu: 1, since: PSEUDO_SINCE[row.name] };
  }),
  ...memoryRows(),
  ...atomicRows(),
  {
    name: 'addr_space_cast',
    opcode: BPF_ALU64 | BPF_MOV | BPF_X,
    off: BPF_ADDR_SPACE_CAST,
    syntax: 'r1 = addr_space_cast(r2, dst_as, src_as)',
    cpu: 0,
    since: '6.9',
  },
];

/** 1 for each opcode that the kernel knows. kernel: bpf_opcode_in_insntable() */
export const KNOWN_OPCODES: Uint8Array = (() => {
  const known = new Uint8Array(256);
  for (const row of INSTRUCTIONS) known[row.opcode] = 1;
  return known;
})();
