import { describe, expect, it, onTestFinished } from 'vitest';
import { watchPolicy } from '../../../src/controllers/policy-watch.ts';
import type { VaultPolicy } from '../../../src/domain/vault-policy.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { setImmediate } from 'node:timers/promises';

const second = 1_000;
const rule = (vault: string): VaultPolicy => [{ namespaces: ['shop'], vaults: [vault] }];

/** A file that says what the test says, and what is told of it. */
function setUp(initial: VaultPolicy | undefined) {
  const clock = createFakeClock();
  const told: unknown[] = [];
  let content: { readonly policy: VaultPolicy | undefined } | { readonly problem: string } = { policy: initial };
  let reads = 0;
  const read = () => {
    reads += 1;
    return content;
  };
  const stop = new AbortController();
  const onProblem = (problem: string): void => void told.push(problem);
  const ended = watchPolicy({ read, initial, clock, onChange: (policy) => told.push(policy), onProblem }, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  return {
    told,
    reads: () => reads,
    say: (next: typeof content) => void (content = next),
    pass: async (ms: number) => {
      for (let passed = 0; passed < ms; passed += second / 2) {
        clock.advance(second / 2);
        await setImmediate();
      }
    },
  };
}

describe('the vault policy in its file', () => {
  it('is looked at every ten seconds, and nothing is said while it is the same', async () => {
    const { told, reads, pass, say } = setUp(rule('Prod'));
    say({ policy: rule('Prod') });
    await pass(60 * second);
    expect([told, reads()]).toEqual([[], 6]);
  });

  it('applies when it has changed, within eleven seconds, once', async () => {
    const { told, pass, say } = setUp(rule('Prod'));
    say({ policy: rule('Other') });
    await pass(11 * second);
    expect(told).toEqual([rule('Other')]);
    await pass(60 * second);
    expect(told).toHaveLength(1);
  });

  it('may come, and go', async () => {
    const { told, pass, say } = setUp(undefined);
    say({ policy: [] });
    await pass(11 * second);
    say({ policy: undefined });
    await pass(11 * second);
    expect(told).toEqual([[], undefined]);
  });

  it('that is seen half written does not apply', async () => {
    const { told, pass, say } = setUp(rule('Prod'));
    say({ policy: undefined });
    await pass(10 * second);
    say({ policy: rule('Prod') });
    await pass(30 * second);
    expect(told).toEqual([]);
  });

  it('stays the last good one while the file cannot be read, which is said once for each problem', async () => {
    const { told, pass, say } = setUp(rule('Prod'));
    say({ problem: 'it is not YAML' });
    await pass(60 * second);
    say({ problem: 'it cannot be read' });
    await pass(60 * second);
    say({ policy: rule('Prod') });
    await pass(60 * second);
    expect(told).toEqual(['it is not YAML', 'it cannot be read']);
  });
});
