import { describe, expect, it } from 'vitest';
import { KubeError } from '../../../src/kube/client.ts';
import { createFailureLog, type FailureLog } from '../../../src/observability/failure-log.ts';
import { createLog } from '../../../src/observability/log.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

interface Setup {
  readonly clock: FakeClock;
  readonly fail: (key: string, status?: number, cause?: string) => void;
  readonly lines: () => number;
}

function setup(): Setup {
  const clock = createFakeClock();
  let count = 0;
  const log = createLog('info', { destination: { write: () => void (count += 1) } });
  const failures: FailureLog = createFailureLog(log, clock);
  return {
    clock,
    fail: (key, status = 500, cause?) => failures.failed(key, new KubeError('GET', '/api', status, 'Refused'), { controller: 'x' }, cause),
    lines: () => count,
  };
}

describe('attempts that fail again and again', () => {
  it('are told of once, and then once an hour', () => {
    const { clock, fail, lines } = setup();
    for (let second = 0; second < 2 * 3_600; second += 30) {
      fail('ns/a');
      clock.advance(30_000);
    }
    expect(lines()).toBe(2);
  });

  it('are told of for each key, and when they fail otherwise', () => {
    const { fail, lines } = setup();
    fail('ns/a');
    fail('ns/b');
    fail('ns/a', 403);
    fail('ns/a', 403);
    expect(lines()).toBe(3);
  });

  it('are told of once where the cause is the same, though the messages differ', () => {
    const { fail, lines } = setup();
    fail('all', 503, 'away');
    fail('all', 504, 'away');
    fail('all', 504, 'late');
    expect(lines()).toBe(2);
  });

  it('are news when they come after two minutes without', () => {
    const { clock, fail, lines } = setup();
    fail('ns/a');
    clock.advance(120_000);
    fail('ns/a');
    expect(lines()).toBe(2);
  });
});
