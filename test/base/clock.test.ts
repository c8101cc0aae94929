import { expect, test } from 'vitest';
import { Clock } from '../../src/base/clock.ts';
import { E, errnoName, errnoText } from '../../src/base/errno.ts';
import { LoadError } from '../../src/base/error.ts';
import { Rng } from '../../src/base/rng.ts';

test('events fire in order of time, then of scheduling', () => {
  const clock = new Clock({ start: 0 });
  const seen: string[] = [];
  clock.schedule(20, () => seen.push(`b@${clock.now}`));
  clock.schedule(10, () => seen.push(`a@${clock.now}`));
  clock.schedule(20, () => seen.push(`c@${clock.now}`));
  clock.advance(15);
  expect(seen).toEqual(['a@10']);
  expect(clock.now).toBe(15);
  clock.advance(100);
  expect(seen).toEqual(['a@10', 'b@20', 'c@20']);
  expect(clock.now).toBe(115);
});

test('an event may schedule another that falls due in the same advance', () => {
  const clock = new Clock({ start: 0 });
  const seen: number[] = [];
  const again = () => {
    seen.push(clock.now);
    if (seen.length < 4) clock.schedule(clock.now + 5, again);
  };
  clock.schedule(5, again);
  clock.advance(100);
  expect(seen).toEqual([5, 10, 15, 20]);
});

test('a cancelled event does not fire, and cancelling twice says so', () => {
  const clock = new Clock({ start: 0 });
  let fired = false;
  const event = clock.schedule(5, () => {
    fired = true;
  });
  expect(event.cancel()).toBe(true);
  expect(event.cancel()).toBe(false);
  expect(clock.nextEvent()).toBeUndefined();
  clock.advance(10);
  expect(fired).toBe(false);
});

test('a thousand events in random order come out sorted', () => {
  const clock = new Clock({ start: 0 });
  const rng = new Rng(7);
  const seen: number[] = [];
  for (let i = 0; i < 1000; i++) {
    const at = rng.below(500);
    clock.schedule(at, () => seen.push(at));
  }
  clock.advance(1000);
  expect(seen).toHaveLength(1000);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
});

test('the same seed gives the same numbers, another seed others', () => {
  const take = (seed: number) => {
    const rng = new Rng(seed);
    return Array.from({ length: 5 }, () => rng.u32());
  };
  expect(take(1)).toEqual(take(1));
  expect(take(1)).not.toEqual(take(2));
});

test('below(n) reaches every number under n and no other', () => {
  const rng = new Rng(3);
  const counts = new Array(6).fill(0);
  for (let i = 0; i < 6000; i++) counts[rng.below(6)]++;
  for (const count of counts) expect(count).toBeGreaterThan(800);
});

test('errnos are named in messages', () => {
  expect(errnoName(-E.EINVAL)).toBe('EINVAL');
  expect(errnoText(524)).toBe('Unknown error 524 (ENOTSUPP)');
  expect(errnoName(4000)).toBe('errno 4000');
});

test('an error carries where it happened and what to do', () => {
  const error = new LoadError('read of 2 bytes', {
    program: 'xdp_fw',
    insn: 14,
    source: 'fw.bpf.c:31',
    hint: 'compare first',
    errno: 'EACCES',
  });
  expect(error.message).toBe('xdp_fw: insn 14 (fw.bpf.c:31): read of 2 bytes; compare first');
  expect(error.errno).toBe(-13);
  expect(error.name).toBe('LoadError');
});
