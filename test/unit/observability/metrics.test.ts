import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../../src/observability/metrics.ts';

describe('the workloads that wait for their restart', () => {
  it('are counted at each scrape, with how long the first has waited', async () => {
    const metrics = createMetrics('1.2.3');
    let waiting = { count: 0, age: 0 };
    metrics.watchRestarts(() => waiting);
    const scrape = async (): Promise<readonly string[]> =>
      (await metrics.render()).body.split('\n').filter((line) => line.startsWith('keyturn_restarts_waiting'));
    const before = await scrape();
    waiting = { count: 12, age: 90.5 };
    expect([before, await scrape()]).toEqual([
      ['keyturn_restarts_waiting 0', 'keyturn_restarts_waiting_oldest_seconds 0'],
      ['keyturn_restarts_waiting 12', 'keyturn_restarts_waiting_oldest_seconds 90.5'],
    ]);
  });
});
