import type { ObjectFeatures, ObjectSpec } from '../index.ts';

type Api = typeof import('../index.ts');

/** One instruction row that stands for each family of `describeFeatures`. */
const FAMILY_ROW: Readonly<Record<string, string>> = {
  ldsx: 'ldsx_w',
  gotol: 'gotol',
  jmp32: 'jmp32_jeq_k',
  bswap: 'bswap16',
  movsx: 'alu64_movsx8',
  sdiv: 'alu64_sdiv_k',
  atomic_fetch: 'atomic_fetch_add_w',
  load_acquire_store_release: 'atomic_load_acquire_w',
  may_goto: 'may_goto',
  jlt: 'jlt_k',
  bpf2bpf: 'call',
  kfunc: 'call_kfunc',
  callback: 'ld_imm64_func',
  ksym: 'ld_imm64_btf_id',
  addr_space_cast: 'addr_space_cast',
};

/** Orders kernel versions: 4.9 before 4.18. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)];
  return x[0]! - y[0]! || (x[1] ?? 0) - (y[1] ?? 0);
}

/** The first kernel that has everything the object names, and what of it is youngest. */
export function sinceOf(api: Api, spec: ObjectSpec, features: ObjectFeatures): { version: string; because: string } {
  let version = '3.18';
  let because: string[] = [];
  const need = (since: string | undefined, what: string) => {
    if (since === undefined) return;
    const order = compareVersions(since, version);
    if (order > 0) [version, because] = [since, [what]];
    else if (order === 0 && !because.includes(what)) because.push(what);
  };
  const rows = new Map(api.INSTRUCTIONS.map((row) => [row.name, row]));
  for (const family of features.families) need(rows.get(FAMILY_ROW[family] ?? '')?.since, family);
  for (const id of features.helpers) need(api.helperName(id)?.since, api.helperName(id)?.name ?? '');
  for (const type of features.mapTypes) need(api.mapType(type)?.since, `${type} map`);
  for (const { type } of spec.programs) need(api.progType(type)?.since, `${type} programs`);
  if (features.globalData) need('5.2', 'global data');
  return { version, because: because.join(', ') };
}
