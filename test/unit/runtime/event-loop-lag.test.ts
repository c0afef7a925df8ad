import { expect, it } from 'vitest';
import { watchEventLoop } from '../../../src/runtime/event-loop-lag.ts';

it('the event loop is late by as long as something kept it busy', async () => {
  const lag = watchEventLoop();
  expect(lag()).toEqual({ mean: 0, p99: 0 });
  for (let round = 0; round < 5; round += 1) {
    const end = performance.now() + 200;
    while (performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const { mean, p99 } = lag();
  expect(mean).toBeGreaterThan(0.05);
  expect(p99).toBeGreaterThanOrEqual(mean);
});
