import { Argument, Command } from 'commander';
import type { CommandContext } from './command-line.ts';
import { TextSink } from './io.ts';
import { toJson } from './json.ts';
import { type CommonOptions, isJson, withCommon } from './shared-options.ts';
import { formatTable } from './table.ts';

type Api = typeof import('../index.ts');

export interface FeatureRow {
  readonly name: string;
  readonly supported: 'yes' | 'partly' | 'no';
  /** First kernel that has it. */
  readonly since?: string;
  /** Number in the kernel's headers. */
  readonly id?: number;
  /** What is missing, or where it may be used. */
  readonly note?: string;
}

const KINDS = ['instructions', 'helpers', 'kfuncs', 'maps', 'programs'] as const;
type Kind = (typeof KINDS)[number];

/** `bpflab features` */
export function featuresCommand({ io }: CommandContext): Command {
  return withCommon(
    new Command('features')
      .description(
        'every instruction, helper, kfunc, map type and program type: yes, partly or no, and since which kernel',
      )
      .addArgument(new Argument('[kind]', 'only one kind').choices(KINDS)),
  ).action(async (only: Kind | undefined, options: CommonOptions) => {
    const api = await import('../index.ts');
    const sink = new TextSink(io.stdout);
    const kinds = only === undefined ? KINDS : [only];
    const tables = Object.fromEntries(kinds.map((kind) => [kind, ROWS[kind](api)])) as Record<Kind, FeatureRow[]>;
    if (isJson(options)) {
      const summary = Object.fromEntries(kinds.map((kind) => [kind, countRows(tables[kind])]));
      sink.line(toJson({ ...tables, summary }, options.pretty));
    } else {
      for (const kind of kinds) {
        const columns = [{ title: kind }, { title: 'here' }, { title: 'since' }, { title: '' }];
        const rows = tables[kind].map((row) => [row.name, row.supported, row.since ?? '', row.note ?? '']);
        for (const line of formatTable(columns, rows)) sink.line(line);
        sink.line();
      }
      for (const kind of kinds) sink.line(`${kind}: ${countText(countRows(tables[kind]))}`);
      if (kinds.includes('kfuncs')) sink.line('Kernel functions that are not listed are not there.');
    }
    sink.flush();
    await sink.settle();
  });
}

function countRows(rows: readonly FeatureRow[]) {
  const count = (supported: FeatureRow['supported']) => rows.filter((row) => row.supported === supported).length;
  return { yes: count('yes'), partly: count('partly'), no: count('no') };
}

function countText({ yes, partly, no }: ReturnType<typeof countRows>): string {
  const parts = [`${yes} of ${yes + partly + no}`];
  if (partly) parts.push(`${partly} partly`);
  return parts.join(', ');
}

/** Instructions that do not mean here what they mean in the kernel. */
const INCOMPLETE: Readonly<Record<string, Pick<FeatureRow, 'supported' | 'note'>>> = {
  ld_imm64_btf_id: { supported: 'no', note: 'there are no kernel variables' },
  addr_space_cast: { supported: 'no', note: 'arenas have no pages here' },
};

/** One table for each kind, from the rows that the lab itself works with. */
const ROWS: Readonly<Record<Kind, (api: Api) => FeatureRow[]>> = {
  instructions: (api) =>
    api.INSTRUCTIONS.map((row) => ({
      name: row.name,
      id: row.opcode,
      since: row.since,
      note: row.syntax,
      supported: 'yes' as const,
      ...INCOMPLETE[row.name],
    })),
  helpers: (api) =>
    api.HELPER_NAMES.map((row) => {
      const rows = api.HELPERS.filter((helper) => helper.id === row.id);
      const everywhere = rows.some((helper) => helper.types === 'all');
      const types = [...new Set(rows.flatMap((helper) => (helper.types === 'all' ? [] : helper.types)))];
      return {
        name: row.name,
        id: row.id,
        since: row.since,
        supported: rows.length ? 'yes' : 'no',
        ...(rows.length && !everywhere && { note: types.join(' ') }),
      };
    }),
  kfuncs: (api) =>
    api.KFUNCS.map((row) => ({
      name: row.name,
      supported: 'yes' as const,
      ...(row.types !== 'all' && { note: row.types.join(' ') }),
    })).sort((a, b) => (a.name < b.name ? -1 : 1)),
  maps: (api) =>
    api.MAP_TYPES.map((row) => ({
      name: row.name,
      id: row.id,
      since: row.since,
      supported: !row.create ? 'no' : row.partly ? 'partly' : 'yes',
      ...(row.create && row.partly && { note: row.partly }),
    })),
  programs: (api) =>
    api.PROG_TYPES.filter((row) => row.id > 0).map((row) => ({
      name: row.name,
      id: row.id,
      since: row.since,
      supported: api.canTestRun(row.name) ? 'partly' : 'no',
      ...(api.canTestRun(row.name) && {
        note: 'runs alone on packets, as in BPF_PROG_TEST_RUN; nothing to attach it to',
      }),
    })),
};
