import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelAvailable } from './kernel.ts';

const FOLDER = fileURLToPath(new URL('../recorded/oracle/', import.meta.url));

/** Where an answer came from: asked now, or read from `test/recorded/oracle/`. */
export type AnswerSource = 'kernel' | 'recorded';

export interface Recorded<T> {
  readonly answer: T;
  readonly source: AnswerSource;
  /** For messages: `kernel`, or the file. */
  readonly from: string;
}

/**
 * The kernel's answer, wherever the test runs. With a kernel at hand, `compute` asks it; the answer must be what was
 * recorded, or is recorded when there was nothing yet or `BPFLAB_RECORD=1`. Without one, the record stands in.
 * Answers are JSON; keep them small (hashes, hex).
 * @throws when kernel and record differ, or there is neither
 */
export function recorded<T>(name: string, compute: () => T, folder = FOLDER): Recorded<T> {
  const file = join(folder, `${name}.json`);
  const known = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as T) : undefined;
  const available = kernelAvailable();
  if (!available.ok) {
    if (known === undefined) {
      throw new Error(`no kernel (${available.reason}) and no recorded answer ${file}; record it on Linux as root`);
    }
    return { answer: known, source: 'recorded', from: file };
  }
  const answer = JSON.parse(JSON.stringify(compute())) as T;
  const differing = known === undefined ? undefined : firstDifference(known, answer);
  if (differing !== undefined && !process.env.BPFLAB_RECORD) {
    throw new Error(`the kernel's answer differs from ${file} at ${differing}; BPFLAB_RECORD=1 writes it anew`);
  }
  if (known === undefined || differing !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, compact(answer));
  }
  return { answer, source: 'kernel', from: 'kernel' };
}

/** May `recorded` answer: is there a kernel or a record? Else the reason to skip with. */
export function canAnswer(name: string): { readonly ok: true } | { readonly ok: false; readonly reason: string } {
  const available = kernelAvailable();
  if (available.ok || existsSync(join(FOLDER, `${name}.json`))) return { ok: true };
  return { ok: false, reason: `${available.reason}, and no recorded answer ${name}` };
}

/** Path of the first place where two JSON values differ, with both values; undefined when they are equal. */
export function firstDifference(expected: unknown, actual: unknown, path = '$'): string | undefined {
  if (Object.is(expected, actual)) return undefined;
  if (isObject(expected) && isObject(actual) && Array.isArray(expected) === Array.isArray(actual)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    for (const key of keys) {
      const step = Array.isArray(expected) ? `[${key}]` : `.${key}`;
      const found = firstDifference(expected[key], actual[key], path + step);
      if (found) return found;
    }
    return undefined;
  }
  return `${path}: ${short(actual)} instead of ${short(expected)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 200 ? `${text.slice(0, 200)}... (${text.length} characters)` : text;
}

/** JSON with one line for each member of the outermost object or array: small, and readable in a diff. */
function compact(value: unknown): string {
  if (Array.isArray(value)) return `[\n${value.map((item) => JSON.stringify(item)).join(',\n')}\n]\n`;
  if (!isObject(value)) return `${JSON.stringify(value)}\n`;
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${JSON.stringify(item)}`);
  return `{\n${members.join(',\n')}\n}\n`;
}
