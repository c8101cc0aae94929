import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Text of C lines. Objects carry it in their line info; where the compiler did not find its source (as in reproducible
 * builds), the file is looked for where the line info says, and beside the object.
 */
export class SourceLines {
  readonly #object: string;
  readonly #files = new Map<string, readonly string[]>();

  /** @param object path of the object file */
  constructor(object: string) {
    this.#object = object;
  }

  /** `return XDP_DROP;  (fw.bpf.c:31)`; only the position where there is no text. */
  text(line: { readonly file: string; readonly line: number; readonly text: string }): string {
    const position = `${line.file}:${line.line}`;
    const text = line.text || (this.#lines(line.file)[line.line - 1] ?? '').trim();
    return text ? `${text}  (${position})` : position;
  }

  #lines(file: string): readonly string[] {
    const known = this.#files.get(file);
    if (known) return known;
    let found: readonly string[] = [];
    for (const path of [file, join(dirname(this.#object), basename(file))]) {
      try {
        found = readFileSync(path, 'utf8').split('\n');
        break;
      } catch {
        // Not there: the next place, or no text.
      }
    }
    this.#files.set(file, found);
    return found;
  }
}
