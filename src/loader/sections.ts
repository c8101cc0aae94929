import { BPF_F, PROGRAM_TYPES, type ProgramTypeName } from './kernel-names.ts';
import { SECTION_ROWS, type SectionRow } from './section-rows.ts';

/** Whose rules decide what loads: current libbpf, its last series with legacy maps, or another loader. */
export const DIALECTS = ['auto', 'libbpf', 'libbpf-0.8', 'cilium', 'iproute2'] as const;

/**
 * `auto` (the default) loads what current libbpf loads, in the same way, and where libbpf refuses an object that an
 * older or another loader takes, does as that one does and says so in the warnings. The others are strict.
 */
export type Dialect = (typeof DIALECTS)[number];

/** What a section name says about its programs. */
export interface SectionMeaning {
  readonly type: ProgramTypeName;
  readonly typeId: number;
  readonly expectedAttachType: number;
  readonly flags: number;
  readonly attachTarget?: string;
  readonly attachBtf: boolean;
  /** Set when current libbpf would not know the name: by which rule it was recognised. */
  readonly foreign?: string;
}

const programTypeId = (type: ProgramTypeName) => PROGRAM_TYPES.indexOf(type);

/** Rows that only libbpf 0.8 has; each before the row of that pattern. */
const ROWS_08: readonly (SectionRow & { before: string })[] = [
  { pattern: 'xdp_devmap/', type: 'xdp', attach: 33, prefix08: true, before: 'xdp.frags/cpumap' },
  { pattern: 'xdp_cpumap/', type: 'xdp', attach: 35, prefix08: true, before: 'xdp.frags' },
];

/** Names that no loader's table has and that real projects use. */
const FOREIGN: readonly { readonly match: RegExp; readonly type: ProgramTypeName; readonly origin: string }[] = [
  { match: /^tc_act$/, type: 'sched_act', origin: 'goebpf' },
  {
    match: /^(from|to)-(netdev|host|container|overlay|lxc|network|wireguard)$/,
    type: 'sched_cls',
    origin: 'cilium on iproute2',
  },
  { match: /^(ingress|egress|downcall)$/, type: 'sched_cls', origin: 'open vswitch' },
  { match: /^af_xdp$/, type: 'xdp', origin: 'open vswitch' },
  { match: /^(filter|loadbalancer)$/, type: 'socket_filter', origin: 'suricata' },
  { match: /^tc_(packet_(hook|func).*|cls|mark|vlan_push)$/, type: 'sched_cls', origin: 'loxilb, goebpf' },
  {
    match: /^((clone_)?redirect_(xmit|recv)|l2_to_ip6?tun_ingress_.*|drop_non_tun_vip|ingress_redirect)$/,
    type: 'sched_cls',
    origin: 'kernel samples',
  },
  {
    match: /^(len_hist|nop|test_ctx|test_cb|test_data|test_rewrite|push_ll_and_redirect.*|fill_garbage.*|drop_all)$/,
    type: 'lwt_xmit',
    origin: 'kernel samples',
  },
];

/** Attach type that an XDP program expects (BPF_XDP). */
const BPF_XDP = 37;

/** `SEC("?xdp")`: one `?` is cut off and switches autoload off. */
export function splitSectionName(section: string): { name: string; autoload: boolean } {
  return section.startsWith('?') ? { name: section.slice(1), autoload: false } : { name: section, autoload: true };
}

/** What the name says by the dialect's rules; undefined when it says nothing. `name` comes without its `?`. */
export function meaningOfSection(name: string, dialect: Dialect): SectionMeaning | undefined {
  if (dialect === 'libbpf-0.8') return fromRow(name, find08(name));
  const exact = fromRow(
    name,
    SECTION_ROWS.find((row) => matches(row, name)),
  );
  if (exact || dialect === 'libbpf') return exact;
  if (dialect === 'cilium') {
    return withOrigin(
      fromRow(
        name,
        SECTION_ROWS.find((row) => !row.target && name.startsWith(row.pattern)),
      ),
      'cilium',
    );
  }
  if (dialect === 'iproute2') return fromForeign(name);
  const old = name.startsWith('xdp_devmap/') || name.startsWith('xdp_cpumap/') ? find08(name) : undefined;
  return (
    withOrigin(fromRow(name, old), 'libbpf 0.8') ??
    fromForeign(name) ??
    withOrigin(
      fromRow(
        name,
        SECTION_ROWS.find((row) => !row.target && startsAsWord(name, row.pattern)),
      ),
      'name prefix',
    )
  );
}

/** The meaning of a program type chosen by the user. */
export function meaningOfType(type: ProgramTypeName): SectionMeaning {
  const attach = type === 'xdp' ? BPF_XDP : 0;
  return { type, typeId: programTypeId(type), expectedAttachType: attach, flags: 0, attachBtf: false };
}

function matches(row: SectionRow, name: string): boolean {
  return name === row.pattern || (row.target === true && name.startsWith(`${row.pattern}/`));
}

/** libbpf 0.8 in its default, lax mode. */
function find08(name: string): SectionRow | undefined {
  for (const row of SECTION_ROWS) {
    const extra = ROWS_08.find((old) => old.before === row.pattern);
    if (extra && name.startsWith(extra.pattern)) return extra;
    if (row.since) continue;
    if (row.prefix08 ? name.startsWith(row.pattern) : matches(row, name)) return row;
  }
  return undefined;
}

/** The pattern, then the end or something that no word goes on with: `xdp_prog` and `tc/tail`, but not `tcpfoo`. */
function startsAsWord(name: string, pattern: string): boolean {
  return name.startsWith(pattern) && /^([/_.\-0-9]|$)/.test(name.slice(pattern.length));
}

function fromRow(name: string, row: SectionRow | undefined): SectionMeaning | undefined {
  if (!row) return undefined;
  const slash = name.indexOf('/');
  const meaning = {
    type: row.type,
    typeId: programTypeId(row.type),
    expectedAttachType: row.attach ?? 0,
    flags: (row.sleepable ? BPF_F.SLEEPABLE : 0) | (row.frags ? BPF_F.XDP_HAS_FRAGS : 0),
    attachBtf: row.attachBtf === true,
  };
  return row.target && slash >= 0 ? { ...meaning, attachTarget: name.slice(slash + 1) } : meaning;
}

function fromForeign(name: string): SectionMeaning | undefined {
  const row = FOREIGN.find(({ match }) => match.test(name));
  return row && withOrigin(meaningOfType(row.type), row.origin);
}

function withOrigin(meaning: SectionMeaning | undefined, foreign: string): SectionMeaning | undefined {
  return meaning && { ...meaning, foreign };
}
