import { Command } from 'commander';
import type { CommandContext } from './command-line.ts';

/** `bpflab disasm` */
export function disasmCommand(_context: CommandContext): Command {
  return new Command('disasm').description('to come');
}
