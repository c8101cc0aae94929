import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FRAME_MAY_GOTO, FRAME_RETURN, FRAME_TOP, FRAME_WORDS, WORDS } from '../../src/vm/predecode.ts';
import { Vm } from '../support/vm.ts';

const source = readFileSync(new URL('../../src/vm/interpreter-loop.ts', import.meta.url), 'utf8');

describe("the interpreter's literals", () => {
  test('frames lie where predecode.ts says', () => {
    expect(source).toContain(`const at = depth * ${FRAME_WORDS};`);
    expect(source).toContain(`m[at + ${FRAME_TOP}] === 0`);
    expect(source).toContain(`m[at + ${FRAME_RETURN}] = pc + ${WORDS};`);
    expect(source).toContain(`m[at + ${FRAME_MAY_GOTO}] = 0;`);
    expect(source).toContain(`r[20] = m[at - ${FRAME_WORDS - FRAME_TOP}]!;`);
  });

  test('the loop refers to nothing outside of its factory, so that its text can be compiled again', () => {
    const first = new Vm();
    const second = new Vm();
    const text = 'r0 = 7\nr0 *= 6\n*(u64 *)(r10 -8) = r0\nr0 = *(u64 *)(r10 -8)\nexit';
    expect(first.r0(text)).toBe(42n);
    expect(second.r0(text)).toBe(42n);
    expect(source.match(/^import /gm)).toBeNull();
  });
});
