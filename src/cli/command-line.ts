import { Command, CommanderError } from 'commander';
import { conformanceCommand } from './conformance.ts';
import { disasmCommand } from './disasm.ts';
import { EXIT } from './exit-codes.ts';
import { featuresCommand } from './features.ts';
import { inspectCommand } from './inspect.ts';
import type { Io } from './io.ts';
import { reportError } from './report-error.ts';
import { runCommand } from './run.ts';
import { ownVersion } from './version.ts';

/** What a command gets besides its arguments. */
export interface CommandContext {
  readonly io: Io;
  /** Says how the command ended; 0 unless called. The last word counts. */
  exitWith(code: number): void;
}

function buildProgram(context: CommandContext): Command {
  const { io } = context;
  const program = new Command('bpflab')
    .description('A laboratory for BPF network programs: no kernel, no root.')
    .version(ownVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help of a command')
    .showHelpAfterError('(--help tells more)')
    .addHelpText(
      'after',
      `
Results go to standard output, progress and messages to standard error.
Exit codes: 0 ok; 1 a test failed, or a program was rejected or faulted; 2 wrong usage;
3 an object could not be loaded; 4 our own fault; 130 interrupted.

Examples:
  bpflab inspect progs/firewall.bpf.o
  bpflab run progs/firewall.bpf.o --in progs/captures/syn.pcap
  bpflab run progs/vlan.bpf.o -s vlan_push --in traffic.pcap.gz --out tagged.pcapng`,
    );
  for (const add of [inspectCommand, disasmCommand, runCommand, featuresCommand, conformanceCommand]) {
    program.addCommand(add(context));
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
    command.showSuggestionAfterError().helpOption('-h, --help', 'print help');
  }
  return program;
}

/** Runs one command; gives its exit code. Never throws for a user's mistake. */
export async function runCommandLine(args: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram({
    io,
    exitWith: (value) => {
      code = value;
    },
  });
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    await program.parseAsync(args, { from: 'user' });
    return io.signal.aborted ? EXIT.interrupted : code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return await reportError(error, args, io);
  }
}
