import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

test("README's script runs as it stands", async () => {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))!;
  const folder = mkdtempSync(join(root, 'test/lab/readme-'));
  const logged: unknown[][] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((...values) => void logged.push(values));
  try {
    const file = join(folder, 'example.ts');
    writeFileSync(file, code!.replace("'bpflab'", JSON.stringify(join(root, 'src/index.ts'))));
    await import(pathToFileURL(file).href);
  } finally {
    log.mockRestore();
    rmSync(folder, { recursive: true });
  }
  expect(logged[0]).toEqual(['XDP_PASS', expect.any(Number)]);
});
