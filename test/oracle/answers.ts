import { createHash } from 'node:crypto';
import { kernelAvailable } from './kernel.ts';
import { kernelSubject } from './load.ts';
import { enterNetns, netnsAvailable } from './netns.ts';
import { firstDifference, recorded } from './record.ts';
import { type Answer, play, type Scenario } from './scenario.ts';
import type { Subject } from './subject.ts';

/** `the kernel` or `recorded answers of the kernel`: for test names, so that a report says what was compared. */
export const ANSWERS_FROM = kernelAvailable().ok ? 'the kernel' : 'recorded answers of the kernel';

interface Recording {
  /** Fingerprint of what was asked: instructions, maps and inputs. */
  readonly of: string;
  readonly answer: Answer;
}

/**
 * What the kernel answers to a scenario: asked now in a network namespace of its own, or recorded.
 * `keep: false` always asks, for campaigns.
 * @throws when the record is of another scenario (an object was rebuilt, inputs changed), or there is none
 */
export function kernelAnswer(name: string, scenario: () => Scenario, { keep = true } = {}): Answer {
  if (!keep) return inNetns(scenario);
  const of = fingerprint(scenario());
  const { answer: recording, source } = recorded<Recording>(name, () => ({ of, answer: inNetns(scenario) }));
  if (recording.of !== of) {
    throw new Error(
      `the ${source} answer ${name} belongs to other programs or inputs; BPFLAB_RECORD=1 on Linux as root`,
    );
  }
  return recording.answer;
}

function inNetns(scenario: () => Scenario): Answer {
  if (!netnsAvailable()) return play(kernelSubject, scenario());
  const netns = enterNetns();
  try {
    return play(kernelSubject, scenario());
  } finally {
    netns.leave();
  }
}

function fingerprint({ spec, inputs, globals }: Scenario): string {
  const hash = createHash('sha256');
  for (const { name, insns } of spec.programs) hash.update(name).update(insns);
  for (const { name, typeId, keySize, valueSize, maxEntries, flags } of spec.maps) {
    hash.update(JSON.stringify([name, typeId, keySize, valueSize, maxEntries, flags]));
  }
  for (const { data, ctx, repeat, flags } of inputs) {
    hash
      .update(data ?? '')
      .update(ctx ?? '')
      .update(`${repeat ?? 1} ${flags ?? 0};`);
  }
  return hash
    .update(JSON.stringify(globals ?? {}))
    .digest('hex')
    .slice(0, 16);
}

/** Programs that the kernel accepted: those whose runs a subject without a verifier can be compared on. */
export function accepted(answer: Answer): Answer {
  return Object.fromEntries(Object.entries(answer).filter(([, { refused }]) => refused === undefined));
}

/** Differing inputs that are shown for each program. */
const SHOWN = 5;

/**
 * Plays the scenario on another subject and says where it differs from the kernel's answer: `[]` when nowhere. Programs
 * that the kernel refused are left out, unless the subject has a verifier of its own.
 */
export function differences(subject: Subject, scenario: Scenario, answer: Answer): string[] {
  const problems: string[] = [];
  const wanted = accepted(answer);
  const reasons: Record<string, string> = {};
  const observed: Subject = {
    name: subject.name,
    load: (spec, options) => {
      const object = subject.load(spec, options);
      for (const [name, { log }] of Object.entries(object.refused)) reasons[name] = log;
      return object;
    },
  };
  const answers = play(observed, { ...scenario, programs: Object.keys(wanted) });
  for (const [name, expected] of Object.entries(wanted)) {
    const ours = answers[name]!;
    if (ours.refused !== undefined) {
      problems.push(`${name}: refused: ${reasons[name]}`);
      continue;
    }
    const differing = ours.runs.flatMap((run, i) =>
      run === expected.runs[i] ? [] : [`${name}: input ${i}: ${run} instead of ${expected.runs[i]}`],
    );
    problems.push(...differing.slice(0, SHOWN));
    if (differing.length > SHOWN) problems.push(`${name}: ${differing.length} inputs differ in all`);
    const where = firstDifference(expected.maps, JSON.parse(JSON.stringify(ours.maps)), 'maps');
    if (where) problems.push(`${name}: ${where}`);
  }
  return problems;
}
