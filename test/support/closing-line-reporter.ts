import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Ends every run with one line that machines can read: `N passed, N failed, N skipped`, after the reasons for skips. */
export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0;
    let failed = 0;
    const skips = new Map<string, number>();
    for (const module of modules) {
      const tests: TestCase[] = [...module.children.allTests()];
      if (module.errors().length > 0) failed++;
      for (const test of tests) {
        const result = test.result();
        if (result.state === 'passed') passed++;
        else if (result.state === 'failed') failed++;
        else {
          const note = result.state === 'skipped' ? result.note : undefined;
          const reason = note ?? `no reason given: ${test.fullName}`;
          skips.set(reason, (skips.get(reason) ?? 0) + 1);
        }
      }
    }
    let skipped = 0;
    for (const [reason, count] of skips) {
      skipped += count;
      console.log(`skipped ${count}: ${reason}`);
    }
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  }
}
