import { describe, expect, it } from 'vitest';
import { Failure, type Reason } from '../../../src/api/reasons.ts';
import { createGate, type Outage, type Verdict } from '../../../src/connect/gate.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const second = 1_000;

/** What a failure says of others, as these tests have it. */
const verdicts: Partial<Record<Reason, Verdict>> = {
  ConnectUnauthorized: 'shuts',
  ConnectUnavailable: 'shuts',
  ConnectProtocolError: 'suspect',
  ItemNotFound: 'answers',
  SecretTooLarge: 'unknown',
};

function setUp() {
  const clock = createFakeClock();
  const turns: string[] = [];
  const onTurn = (outage: Outage | undefined): void => void turns.push(outage?.failure.reason ?? 'open');
  const gate = createGate({ clock, judge: ({ reason }) => verdicts[reason] ?? 'unknown', onTurn });
  let requests = 0;

  /** Begins a request whose answer comes when the test says so: `answer`, or a failure. */
  function begin() {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const outcome = gate
      .pass(() => {
        requests += 1;
        return promise;
      })
      .catch((error: unknown) => (error instanceof Failure ? error.reason : 'Error'));
    return {
      outcome,
      answer: () => resolve('answer'),
      fail: (reason: Reason, retryAfter?: number) => reject(new Failure(reason, 'm', retryAfter)),
      break: () => reject(new Error('m')),
    };
  }

  /** What a request that is answered at once comes to. */
  function ask(answer: Reason | 'answer' | 'Error' = 'answer', retryAfter?: number): Promise<string> {
    const request = begin();
    if (answer === 'answer') request.answer();
    else if (answer === 'Error') request.break();
    else request.fail(answer, retryAfter);
    return request.outcome;
  }

  return { gate, clock, turns, begin, ask, made: () => requests };
}

type Setting = ReturnType<typeof setUp>;

async function askAll({ ask }: Setting, answers: readonly Parameters<Setting['ask']>[0][]): Promise<void> {
  for (const answer of answers) await ask(answer);
}

const suspects = (count: number): 'ConnectProtocolError'[] => Array.from({ length: count }, () => 'ConnectProtocolError');

describe('a gate', () => {
  it.each<[string, readonly (Reason | 'answer' | 'Error')[], boolean]>([
    ['one failure that concerns all', ['ConnectUnauthorized'], true],
    ['five suspect failures in a row', suspects(5), true],
    ['five suspect failures with others between that say nothing', [...suspects(4), 'SecretTooLarge', 'Error', ...suspects(1)], true],
    ['four suspect failures', suspects(4), false],
    ['eight suspect failures with an answer in their midst', [...suspects(4), 'answer', ...suspects(4)], false],
    ['eight suspect failures, and one in their midst that is an answer', [...suspects(4), 'ItemNotFound', ...suspects(4)], false],
    ['many failures that are answers', Array.from({ length: 9 }, () => 'ItemNotFound' as const), false],
    ['many failures that say nothing', Array.from({ length: 9 }, () => 'SecretTooLarge' as const), false],
    ['an error that is no failure', ['Error'], false],
  ])('is judged by %s', async (_, answers, shut) => {
    const setting = setUp();
    await askAll(setting, answers);
    expect(setting.gate.outage !== undefined).toBe(shut);
  });

  it('that is shut lets a probe through at once when what shut it may be over, and opens by it', async () => {
    const { gate, ask, made, turns } = setUp();
    await ask('ConnectUnauthorized');
    expect([await ask(), made()]).toEqual(['ConnectUnauthorized', 1]);
    gate.hurry();
    expect([gate.probeIn, await ask(), made(), turns]).toEqual([0, 'answer', 2, ['ConnectUnauthorized', 'open']]);
  });

  it('gives what its requests give while it is open', async () => {
    const { ask } = setUp();
    expect([await ask(), await ask('ItemNotFound'), await ask('Error')]).toEqual(['answer', 'ItemNotFound', 'Error']);
  });

  it('counts a run anew after it was open again', async () => {
    const setting = setUp();
    await askAll(setting, suspects(5));
    setting.clock.advance(5 * second);
    await askAll(setting, ['answer', ...suspects(4)]);
    expect(setting.gate.outage).toBeUndefined();
  });
});

describe('a gate that is shut', () => {
  it('asks nobody for five seconds, and gives everybody the failure that shut it', async () => {
    const { ask, clock, made } = setUp();
    await ask('ConnectUnauthorized');
    clock.advance(5 * second - 1);
    expect([await ask(), await ask(), made()]).toEqual(['ConnectUnauthorized', 'ConnectUnauthorized', 1]);
  });

  it('lets one request through after that, as a probe, and no second one beside it', async () => {
    const { ask, begin, clock, made } = setUp();
    await ask('ConnectUnauthorized');
    clock.advance(5 * second);
    const probe = begin();
    clock.advance(60 * second);
    expect(await ask()).toBe('ConnectUnauthorized');
    expect(made()).toBe(2);
    probe.answer();
    expect(await probe.outcome).toBe('answer');
  });

  it.each(['answer', 'ItemNotFound'] as const)('is opened by a probe that gets an answer: %s', async (answer) => {
    const { ask, clock, gate } = setUp();
    await ask('ConnectUnauthorized');
    clock.advance(5 * second);
    await ask(answer);
    expect([gate.outage, await ask()]).toEqual([undefined, 'answer']);
  });

  it.each(['ConnectUnavailable', 'ConnectProtocolError', 'SecretTooLarge', 'Error'] as const)(
    'waits another five seconds, from its start, after a probe that gets none: %s',
    async (failure) => {
      const { ask, begin, clock, gate } = setUp();
      await ask('ConnectUnauthorized');
      clock.advance(5 * second);
      const probe = begin();
      clock.advance(2 * second);
      if (failure === 'Error') probe.break();
      else probe.fail(failure);
      await probe.outcome;
      expect([gate.outage === undefined, gate.probeIn]).toEqual([false, 3 * second]);
    },
  );

  it('probes at once when the last probe took longer than the pause', async () => {
    const { ask, begin, clock, gate } = setUp();
    await ask('ConnectUnauthorized');
    clock.advance(5 * second);
    const probe = begin();
    clock.advance(8 * second);
    probe.fail('ConnectUnavailable');
    await probe.outcome;
    expect(gate.probeIn).toBe(0);
  });

  it.each([
    ['longer than the pause', 60 * second, 60 * second],
    ['shorter than the pause', second, 5 * second],
  ])('heeds how long it was asked to wait: %s', async (_, retryAfter, expected) => {
    const { ask, gate } = setUp();
    await ask('ConnectUnavailable', retryAfter);
    expect(gate.probeIn).toBe(expected);
  });

  it('waits as long as it was asked to from the answer on, not from the request', async () => {
    const { begin, clock, gate } = setUp();
    const request = begin();
    clock.advance(4 * second);
    request.fail('ConnectUnavailable', 7 * second);
    await request.outcome;
    expect(gate.probeIn).toBe(7 * second);
  });

  it('learns nothing from what was under way when it was shut', async () => {
    const { ask, begin, gate, turns } = setUp();
    const [good, bad] = [begin(), begin()];
    await ask('ConnectUnauthorized');
    good.answer();
    bad.fail('ConnectUnavailable', 60 * second);
    expect([await good.outcome, await bad.outcome]).toEqual(['answer', 'ConnectUnavailable']);
    expect([gate.outage?.failure.reason, gate.probeIn, turns]).toEqual(['ConnectUnauthorized', 5 * second, ['ConnectUnauthorized']]);
  });

  it('is not shut again by what was under way when it was shut before', async () => {
    const { ask, begin, clock, gate } = setUp();
    const old = begin();
    await ask('ConnectUnauthorized');
    clock.advance(5 * second);
    await ask();
    old.fail('ConnectUnavailable');
    await old.outcome;
    expect(gate.outage).toBeUndefined();
  });

  it.each(['ConnectUnavailable', 'ConnectProtocolError'] as const)(
    'says why by the last probe, and since when by the first failure: %s',
    async (failure) => {
      const { ask, clock, gate } = setUp();
      clock.advance(second);
      await ask('ConnectUnauthorized');
      clock.advance(5 * second);
      await ask(failure);
      expect([gate.outage?.failure.reason, gate.outage?.since]).toEqual([failure, second]);
    },
  );
});

it('a turn is told once, whatever follows', async () => {
  const { ask, clock, turns } = setUp();
  for (const answer of ['answer', 'ConnectUnauthorized', 'ConnectUnavailable', 'ConnectUnavailable', 'answer', 'answer'] as const) {
    await ask(answer);
    clock.advance(5 * second);
  }
  await ask('ConnectUnavailable');
  expect(turns).toEqual(['ConnectUnauthorized', 'open', 'ConnectUnavailable']);
});
