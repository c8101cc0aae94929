import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, type TestContext, test } from 'vitest';

const PROGS = fileURLToPath(new URL('../../progs', import.meta.url));
const BUILD_TIMEOUT = 120_000;

function make(folder: string, ...args: string[]): { status: number | null; output: string } {
  const run = spawnSync('make', ['-s', '-C', folder, ...args], { encoding: 'utf8' });
  return { status: run.status, output: run.error ? String(run.error) : run.stdout + run.stderr };
}

/** Ends the test as skipped where the objects cannot be rebuilt here. */
function needClang(ctx: TestContext): void {
  const clang = make(PROGS, '--no-print-directory', 'print-clang');
  if (clang.status !== 0) ctx.skip(`make does not run here: ${clang.output.trim()}`);
  if (clang.output.trim() === '') ctx.skip('no clang >= 18 on this machine');
}

function sources(): string[] {
  return readdirSync(PROGS, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.bpf.c'));
}

describe('the committed objects', () => {
  test('every source has its object, its line in the README, and a command to see it with', () => {
    const readme = readFileSync(join(PROGS, 'README.md'), 'utf8');
    const files = new Set(readdirSync(PROGS, { recursive: true, encoding: 'utf8' }));
    expect(sources().length).toBeGreaterThan(30);
    for (const source of sources()) {
      const name = source.replace(/\.bpf\.c$/, '');
      expect(files, source).toContain(`${name}.bpf.o`);
      expect(readme, source).toContain(`\`${name}\``);
      const header = readFileSync(join(PROGS, source), 'utf8').split('\n#include')[0];
      expect(header, source).toMatch(new RegExp(`^//   bpflab \\w+ progs/${name}\\.bpf\\.o`, 'm'));
    }
  });

  test('no object holds a path of the machine that built it', () => {
    for (const source of sources()) {
      const bytes = readFileSync(join(PROGS, source.replace(/\.c$/, '.o')), 'latin1');
      expect(bytes, source).toContain(`\0./progs/${source}\0`);
      expect(bytes, source).not.toMatch(/\0\/\w[\w./-]+\0/);
    }
  });

  test('are what their sources give', { timeout: BUILD_TIMEOUT }, (ctx) => {
    needClang(ctx);
    const check = make(PROGS, 'check');
    expect(check.status, check.output).toBe(0);
    expect(check.output).toContain(`${sources().length} objects rebuilt`);
    if (!check.output.includes('here is')) return;
    console.log(check.output.trim()); // other tools than the recorded ones: not every object can be compared by bytes
  });
});

describe('make check', () => {
  let copy = '';
  afterEach(() => {
    if (copy !== '') rmSync(copy, { recursive: true });
    copy = '';
  });

  /** A copy of progs/ whose objects are made with the tools of this machine, so that bytes are compared. */
  function copyOfProgs(): string {
    copy = mkdtempSync(join(tmpdir(), 'bpflab-progs-'));
    const progs = join(copy, 'progs');
    cpSync(PROGS, progs, { recursive: true });
    const all = make(progs, 'all', 'SOURCES=vlan.bpf.c');
    expect(all.status, all.output).toBe(0);
    return progs;
  }

  test('names the object whose source was changed', { timeout: BUILD_TIMEOUT }, (ctx) => {
    needClang(ctx);
    const progs = copyOfProgs();
    const source = join(progs, 'vlan.bpf.c');
    writeFileSync(source, readFileSync(source, 'utf8').replace('vlan_id = 100', 'vlan_id = 101'));
    const check = make(progs, 'check', 'SOURCES=vlan.bpf.c');
    expect(check.status).not.toBe(0);
    expect(check.output).toContain('vlan.bpf.o is not what its source gives');
  });

  test('with other tools still sees a program that is gone', { timeout: BUILD_TIMEOUT }, (ctx) => {
    needClang(ctx);
    const progs = copyOfProgs();
    appendFileSync(join(progs, 'BUILT_WITH'), 'another tool\n');
    const source = join(progs, 'vlan.bpf.c');
    const text = readFileSync(source, 'utf8');
    writeFileSync(source, text.replace('vlan_id = 100', 'vlan_id = 101'));
    const otherBytes = make(progs, 'check', 'SOURCES=vlan.bpf.c');
    expect(otherBytes.status, otherBytes.output).toBe(0);
    expect(otherBytes.output).toContain('same bytes except for: vlan.bpf.o');

    writeFileSync(source, text.replace('int vlan_pop', 'int vlan_strip'));
    const otherName = make(progs, 'check', 'SOURCES=vlan.bpf.c');
    expect(otherName.status).not.toBe(0);
    expect(otherName.output).toContain('vlan.bpf.o has other sections or symbols');
  });

  test('says which source does not compile', { timeout: BUILD_TIMEOUT }, (ctx) => {
    needClang(ctx);
    const progs = copyOfProgs();
    appendFileSync(join(progs, 'vlan.bpf.c'), 'int broken(;\n');
    const check = make(progs, 'check', 'SOURCES=vlan.bpf.c');
    expect(check.status).not.toBe(0);
    expect(check.output).toMatch(/vlan\.bpf\.c:\d+:\d+: error/);
  });
});
