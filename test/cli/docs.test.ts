import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bpflab } from './harness.ts';

/**
 * README.md and docs/cli.md: every command of their console blocks is run and its output compared. `UPDATE_DOCS=1 npx
 * vitest run test/cli/docs.test.ts` writes the outputs anew.
 */
const PAGES = [
  { path: 'docs/cli.md', least: 15 },
  { path: 'README.md', least: 1 },
];
const BLOCK = /```console\n([\s\S]*?)```/g;

interface Example {
  readonly command: string;
  readonly expected: string;
}

function examplesOf(block: string): Example[] {
  return block
    .split(/^(?=\$ )/m)
    .filter((part) => part.startsWith('$ '))
    .map((part) => {
      const end = part.indexOf('\n');
      return { command: part.slice(2, end), expected: part.slice(end + 1) };
    });
}

/** `echo 'TEXT' | bpflab ARGS | head -N` */
async function outputOf(command: string): Promise<string> {
  const parsed = /^(?:echo '([^']*)' \| )?bpflab (.*?)(?: \| head -(\d+))?$/.exec(command);
  if (!parsed) throw new Error(`cannot run: ${command}`);
  const [, text, words, lines] = parsed;
  const args = [...words!.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!);
  const { out, err } = await bpflab(args, text === undefined ? {} : { stdin: `${text}\n` });
  const all = err + out;
  return lines === undefined ? all : all.split('\n').slice(0, Number(lines)).join('\n').concat('\n');
}

describe.each(PAGES)('$path', ({ path, least }) => {
  const text = readFileSync(path, 'utf8');
  if (process.env.UPDATE_DOCS) {
    test('is written anew', async () => {
      let updated = '';
      let at = 0;
      for (const match of text.matchAll(BLOCK)) {
        updated += `${text.slice(at, match.index)}\`\`\`console\n`;
        for (const { command } of examplesOf(match[1]!)) updated += `$ ${command}\n${await outputOf(command)}`;
        updated += '```';
        at = match.index + match[0].length;
      }
      writeFileSync(path, updated + text.slice(at));
    });
  } else {
    const examples = [...text.matchAll(BLOCK)].flatMap((match) => examplesOf(match[1]!));
    test('has examples', () => expect(examples.length).toBeGreaterThanOrEqual(least));
    test.each(examples)('$command', async ({ command, expected }) => {
      expect(await outputOf(command)).toBe(expected);
    });
  }
});
