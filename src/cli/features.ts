import { Command } from 'commander';
import type { CommandContext } from './command-line.ts';

/** `bpflab features` */
export function featuresCommand(_context: CommandContext): Command {
  return new Command('features').description('to come');
}
