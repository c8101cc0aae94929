/** Programs that see the packet from its IP header on; their output has zeros for the Ethernet header. */
export function startsAtIp(type: string): boolean {
  return type !== 'xdp' && type !== 'sched_cls' && type !== 'sched_act';
}

/** Verdict as a table shows it; a socket filter's is the number of bytes to keep. */
export function verdictText(type: string, verdict: string): string {
  if (type === 'socket_filter') return verdict === '0' ? 'drop' : `keep ${verdict}`;
  return verdict;
}

/** The word that a summary counts under. */
export function verdictWord(type: string, verdict: string): string {
  if (type === 'socket_filter') return verdict === '0' ? 'drop' : 'keep';
  if (/^\d+$/.test(verdict)) return type === 'xdp' ? 'unknown action' : 'other';
  return verdict.replace(/^(XDP|TC_ACT|BPF)_/, '').toLowerCase();
}

const GONE = new Set(['XDP_ABORTED', 'XDP_DROP', 'TC_ACT_SHOT', 'TC_ACT_STOLEN', 'TC_ACT_TRAP', 'BPF_DROP', 'DROP']);

/** Does the packet end at this verdict? */
export function isGone(type: string, verdict: string): boolean {
  if (type === 'socket_filter') return verdict === '0';
  return GONE.has(verdict) || (type === 'xdp' && /^\d+$/.test(verdict));
}
