import { Command } from 'commander';
import type { CommandContext } from './command-line.ts';

/** `bpflab conformance` */
export function conformanceCommand(_context: CommandContext): Command {
  return new Command('conformance').description('to come');
}
