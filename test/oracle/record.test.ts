import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';

const kernel = vi.hoisted(() => ({ here: true }));
vi.mock('./kernel.ts', () => ({
  kernelAvailable: () => (kernel.here ? { ok: true } : { ok: false, reason: 'not today' }),
}));
const { firstDifference, recorded } = await import('./record.ts');

function folder(): string {
  vi.stubEnv('BPFLAB_RECORD', '');
  const path = mkdtempSync(join(tmpdir(), 'bpflab-record-'));
  onTestFinished(() => {
    rmSync(path, { recursive: true });
    kernel.here = true;
    vi.unstubAllEnvs();
  });
  return path;
}

describe('recorded answers', () => {
  test('what the kernel said once stands in where there is none', () => {
    const where = folder();
    expect(recorded('a', () => ({ retval: 2, data: 'ff' }), where).source).toBe('kernel');
    kernel.here = false;
    const stale = () => {
      throw new Error('there is no kernel to ask');
    };
    expect(recorded('a', stale, where)).toMatchObject({ answer: { retval: 2, data: 'ff' }, source: 'recorded' });
  });

  test('a kernel that answers otherwise than before is an error that says where, until BPFLAB_RECORD=1', () => {
    const where = folder();
    recorded('a', () => [{ retval: 2 }], where);
    expect(() => recorded('a', () => [{ retval: 3 }], where)).toThrow('$[0].retval: 3 instead of 2');
    expect(readFileSync(join(where, 'a.json'), 'utf8')).toBe('[\n{"retval":2}\n]\n');
    vi.stubEnv('BPFLAB_RECORD', '1');
    expect(recorded('a', () => [{ retval: 3 }], where).answer).toEqual([{ retval: 3 }]);
    expect(readFileSync(join(where, 'a.json'), 'utf8')).toBe('[\n{"retval":3}\n]\n');
  });

  test('neither kernel nor record is an error that names the missing file', () => {
    const where = folder();
    kernel.here = false;
    expect(() => recorded('b', () => 1, where)).toThrow(join(where, 'b.json'));
  });

  test.each([
    [{ a: [1, 2] }, { a: [1, 2] }, undefined],
    [{ a: [1, 2] }, { a: [1] }, '$.a[1]: nothing instead of 2'],
    [{ a: 1 }, { a: 1, b: null }, '$.b: null instead of nothing'],
    [[1], { 0: 1 }, '$: {"0":1} instead of [1]'],
    ['x', 'y', '$: "y" instead of "x"'],
  ])('the first difference of %j and %j is %s', (a, b, where) => {
    expect(firstDifference(a, b)).toBe(where);
  });
});
