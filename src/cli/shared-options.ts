import { type Command, InvalidArgumentError, Option } from 'commander';

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly pretty?: boolean;
  readonly verbose: number;
}

/** Options of commands that run programs. */
export interface EngineOptions {
  readonly engine: 'interp';
  readonly seed: number;
  readonly cpus: number;
}

/** Adds `-j`, `-p` and `-v`. */
export function withCommon(command: Command): Command {
  return command
    .option('-j, --json', 'JSON, one line per object')
    .option('-p, --pretty', 'JSON, indented')
    .option('-v, --verbose', 'say more; twice: still more', (_value, count: number) => count + 1, 0);
}

/** Adds `--engine`, `--seed` and `--cpus`. */
export function withEngine(command: Command): Command {
  return command
    .addOption(
      new Option('--engine <engine>', 'what runs the program: interp').default('interp').argParser((value) => {
        if (value === 'interp') return value;
        const later = value === 'jit' || value === 'both';
        throw new InvalidArgumentError(later ? `${value} comes in a later version; use interp.` : 'There is: interp.');
      }),
    )
    .addOption(
      new Option('--seed <n>', 'seed of everything random').default(1).argParser((value) => wholeNumber(value, 0)),
    )
    .addOption(
      new Option('--cpus <n>', 'CPUs of the machine').default(2).argParser((value) => wholeNumber(value, 1, 64)),
    );
}

/** Argument parser: a decimal or 0x number within a range. */
export function wholeNumber(value: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  const number = /^(0x[0-9a-f]+|\d+)$/i.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number) || number < min || number > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`;
    throw new InvalidArgumentError(`It has to be a whole number, ${range}.`);
  }
  return number;
}

/** Argument parser of options that may stand several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** Is the output JSON? */
export function isJson(options: CommonOptions): boolean {
  return options.json === true || options.pretty === true;
}
