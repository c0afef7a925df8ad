import { expect, test } from 'vitest';
import { cpuSecondsOf } from '../../support/process-usage.ts';

test.skipIf(process.platform !== 'linux')('processor time is what the process itself is told', async () => {
  const { user, system } = process.cpuUsage();
  expect(Math.abs((await cpuSecondsOf(process.pid)) - (user + system) / 1e6)).toBeLessThan(0.2);
});
