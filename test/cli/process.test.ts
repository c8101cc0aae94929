import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** What only a real process shows: standard streams, signals, the exit code. */
let dir: string;
let main: string;

/** Types taken off, nothing checked: what `npm run build` makes, in a second. Inside the project, so that packages are found. */
beforeAll(() => {
  mkdirSync('node_modules/.cache', { recursive: true });
  dir = mkdtempSync('node_modules/.cache/bpflab-');
  cpSync('package.json', join(dir, 'package.json'));
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ES2022,
    rewriteRelativeImportExtensions: true,
    verbatimModuleSyntax: true,
  };
  for (const path of ts.sys.readDirectory('src', ['.ts'])) {
    if (path.endsWith('.d.ts')) continue;
    const to = join(dir, path.replace(/^.*?src\//, 'dist/').replace(/\.ts$/, '.js'));
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, ts.transpileModule(readFileSync(path, 'utf8'), { compilerOptions }).outputText);
  }
  main = join(dir, 'dist/cli/main.js');
}, 60_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const OBJECT = 'progs/parse_count.bpf.o';
const SYN = 'progs/captures/syn.pcap';
const bpflab = (args: string[], input?: string) =>
  spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', input: input ?? '' });

describe('the exit code of the process', () => {
  test.each([
    [0, ['--version']],
    [0, ['inspect', OBJECT]],
    [1, ['run', OBJECT, '--in', '0102']],
    [2, ['run', OBJECT, '--nonsense']],
    [3, ['inspect', SYN]],
  ])('%i: %j', (code, args) => {
    const { status, stderr } = bpflab(args);
    expect(status).toBe(code);
    expect(stderr === '').toBe(code === 0);
  });

  test('results on standard output only, packets from standard input', () => {
    const { status, stdout, stderr } = bpflab(['run', OBJECT], `${'00'.repeat(20)}\n`);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('1 packet: 1 pass');
  });
});

/** Runs with a hand on its streams; gives code and standard error. */
function start(args: string[]) {
  const child = spawn(process.execPath, [main, ...args], { stdio: 'pipe' });
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const end = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stderr }));
  });
  return { child, end };
}

describe('streams and signals', () => {
  test('a reader that goes away early is no error', async () => {
    const { child, end } = start(['run', OBJECT, '--in', 'progs/captures/mixed.pcap', '-p', '--all']);
    child.stdout.once('data', () => child.stdout.destroy());
    const { code, stderr } = await end;
    expect(stderr).not.toContain('EPIPE');
    expect(stderr).not.toContain('internal error');
    expect(code).toBeLessThan(2);
  });

  test('Ctrl-C while waiting for packets: the summary of what came, and 130', async () => {
    const { child, end } = start(['run', OBJECT, '-j']);
    let stdout = '';
    child.stdout.on('data', (text) => {
      if (stdout === '') child.kill('SIGINT');
      stdout += text;
    });
    child.stdin.on('error', () => {});
    child.stdin.write(readFileSync(SYN) as unknown as Uint8Array);
    const { code, stderr } = await end;
    expect([code, stderr]).toEqual([130, '']);
    expect(stdout).toMatch(/"packets":12,.*"interrupted":true/);
  });

  test('Ctrl-C ends a run of very many repeats at once', async () => {
    const { child } = start(['run', OBJECT, '-j', '--repeat', '100001']);
    child.stdin.on('error', () => {});
    child.stdin.write(`${'00'.repeat(20)}\n`);
    // The next packet is not there yet; a handler would end this with 130 and a summary.
    child.stdout.once('data', () => child.kill('SIGINT'));
    const ended = await new Promise((resolve) => child.on('close', (code, signal) => resolve([code, signal])));
    expect(ended).toEqual([null, 'SIGINT']);
  });
});
