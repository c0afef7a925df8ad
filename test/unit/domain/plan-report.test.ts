import { describe, expect, it } from 'vitest';
import { formatPlan, type PlannedSecret, planExitCode, type PlanReport, type SecretForecast } from '../../../src/domain/plan-report.ts';

const nothing: PlanReport = { secrets: [], restarts: [], unread: [], notes: [] };

function resource(name: string, forecast: SecretForecast, more: Partial<PlannedSecret> = {}): PlannedSecret {
  return { namespace: 'shop', kind: 'OnePasswordItem', name, secret: name, forecast, notes: [], ...more };
}

const change = { action: 'change', keys: ['password', 'user'] } as const;
const refuse = (reason: Extract<SecretForecast, { action: 'refuse' }>['reason']): SecretForecast => ({
  action: 'refuse',
  reason,
  message: 'see there',
});
const restart = { kind: 'Deployment', namespace: 'shop', name: 'web', secrets: ['db'], paused: false };
const lastLine = (report: PlanReport): string | undefined => formatPlan(report).trimEnd().split('\n').at(-1);

describe('the plan in print', () => {
  it('has a line for each who asks, by namespace and name, below it what would restart, and the sum at the end', () => {
    const report: PlanReport = {
      secrets: [
        resource('ui', { action: 'in-sync' }, { namespace: 'web' }),
        resource('old', { action: 'adopt' }),
        resource('db', change, { notes: ['a note'] }),
        resource('web', { action: 'create' }, { kind: 'Deployment', secret: 'web-secret' }),
        resource('bad', refuse('ItemNotFound')),
        resource('labels', { action: 'metadata' }),
        resource('going', { action: 'release' }),
      ],
      restarts: [restart, { ...restart, name: 'api', secrets: ['db', 'orphan'], paused: true }],
      unread: [{ namespace: 'closed', message: 'GET /x: 403 Forbidden' }],
      notes: ['POLLING_INTERVAL=600: long'],
    };
    expect(formatPlan(report)).toBe(`namespace closed
  not read: GET /x: 403 Forbidden

namespace shop
  OnePasswordItem bad: refuse ItemNotFound: see there
  OnePasswordItem db: change keys: password, user
    a note
    would restart: Deployment api, once it is resumed
    would restart: Deployment web
  OnePasswordItem going: let go: it is being deleted and waits for a finalizer of the old operator; its Secret goes with it
  OnePasswordItem labels: update metadata
  OnePasswordItem old: adopt
  Deployment web (Secret web-secret): create
  Secret orphan
    would restart: Deployment api, once it is resumed

namespace web
  OnePasswordItem ui: in sync

worth knowing
  POLLING_INTERVAL=600: long

1 in sync, 1 to adopt, 1 to update in metadata alone, 1 to create, 1 refused, 1 to let go, 1 would change, 2 workloads would restart, 1 namespace not read
`);
  });

  it('is the same in whatever order things were found', () => {
    const secrets = [resource('b', change), resource('a', change), resource('a', change, { kind: 'Deployment', secret: 's' })];
    const restarts = [restart, { ...restart, name: 'api' }];
    expect(formatPlan({ ...nothing, secrets: secrets.toReversed(), restarts: restarts.toReversed() })).toBe(
      formatPlan({ ...nothing, secrets, restarts }),
    );
  });

  it('counts a workload once that restarts for several Secrets', () => {
    const secrets = [resource('db', change), resource('cache', change)];
    expect(lastLine({ ...nothing, secrets, restarts: [{ ...restart, secrets: ['db', 'cache'] }] })).toBe(
      '0 in sync, 0 to adopt, 0 to create, 0 refused, 2 would change, 1 workload would restart',
    );
  });

  it('keeps Secrets of one name in different namespaces apart', () => {
    const secrets = [resource('db', change), resource('db', { action: 'in-sync' }, { namespace: 'web' })];
    const text = formatPlan({ ...nothing, secrets, restarts: [restart] });
    expect(text.match(/would restart: /g)).toHaveLength(1);
  });

  it('counts what could not be told apart from what is refused', () => {
    const secrets = [resource('a', refuse('SecretNotOwned')), resource('b', refuse('ConnectUnavailable'))];
    expect(lastLine({ ...nothing, secrets })).toContain('1 refused, 1 unknown');
  });

  it('lets no name make a line of its own or command the terminal', () => {
    const secrets = [
      resource('a', { action: 'refuse', reason: 'VaultNotFound', message: 'vault "x\n0 would change\u001b[2J\u2028\u202e"' }),
    ];
    expect(formatPlan({ ...nothing, secrets })).toContain('vault "x?0 would change?[2J??"\n');
  });
});

describe('the exit code of the plan', () => {
  it.each([
    ['all is in sync', [resource('a', { action: 'in-sync' })]],
    ['Secrets are adopted', [resource('a', { action: 'adopt' })]],
    ['only metadata change', [resource('a', { action: 'metadata' })]],
    ['Secrets are made', [resource('a', { action: 'create' })]],
    ['something is refused', [resource('a', refuse('SecretNotOwned')), resource('b', refuse('ConnectForbidden'))]],
  ])('is 0 when %s', (_, secrets) => {
    expect(planExitCode({ ...nothing, secrets })).toBe(0);
  });

  it.each([
    ['a value changes', { secrets: [resource('a', change)] }],
    ['a Secret goes with its resource', { secrets: [resource('a', { action: 'release' })] }],
    ['a workload restarts', { restarts: [restart] }],
    ['a namespace was not read', { unread: [{ namespace: 'shop', message: 'no' }] }],
    ['Connect did not answer for an item', { secrets: [resource('a', refuse('ConnectUnavailable'))] }],
    ['a Secret may not be read', { secrets: [resource('a', refuse('KubernetesForbidden'))] }],
  ])('is 1 when %s', (_, part) => {
    expect(planExitCode({ ...nothing, ...part })).toBe(1);
  });
});
