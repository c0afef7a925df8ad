import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { commandOf, ConfigError, kubeconfigFlag, readConfig, readVaultPolicy, takeEnvironment, wantsPrinted } from '../../src/config.ts';
import { settingNames, settingOf } from '../../src/config/settings.ts';
import { matchesGlob, vaultReach } from '../../src/domain/vault-policy.ts';
import { createKubeClient, type KubeClient, KubeError } from '../../src/kube/client.ts';
import { credentialsFrom, type LoadCredentials } from '../../src/kube/credentials.ts';
import { describeError } from '../../src/observability/log.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { canary } from '../support/canary.ts';
import { fuzz, isReplay, refuseCanaries } from '../support/fuzz.ts';
import { damaged, oddText, oddValue, wireBytes } from '../support/odd-json.ts';

const folder = mkdtempSync(join(tmpdir(), 'keyturn-fuzz-'));
const file = join(folder, 'config.yaml');
afterAll(() => rmSync(folder, { recursive: true }));

const token = canary('TOKEN');
const password = canary('PASSWORD');
const flags = settingNames.flatMap((name) => settingOf(name).flag ?? []);
const variables = settingNames.flatMap((name) => settingOf(name).variables ?? []);
/** Whose values are names, which a problem may tell. */
const named = new Set(['watchNamespace', 'watch-namespace', 'WATCH_NAMESPACE']);
/** What settings take, and what somebody may give them. A token or a password may stand in the wrong place. */
const value = fc.oneof(
  fc.constantFrom(
    'true',
    '5',
    '10s',
    ':8080',
    'https://connect.example.com:8443',
    'text',
    'Prod,shop',
    '[::1]:99999',
    '1e9',
    '999999999h',
    '0x10',
    'NaN',
  ),
  fc.constantFrom(token, `http://user:${password}@proxy:3128`, `http://u:${password}@[`, `https://${token}@host`, `${token} ${token}`),
  oddText,
);
const valueFor = (name: string): fc.Arbitrary<string> => (named.has(name) ? oddText : value);

const argument = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...flags).chain((flag) => valueFor(flag).map((given) => [`--${flag}=${given}`])) },
  { weight: 2, arbitrary: fc.constantFrom(...flags).chain((flag) => valueFor(flag).map((given) => [`-${flag}`, given])) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      [`--token=${token}`],
      ['--connect-token', token],
      ['doctor'],
      ['--'],
      ['-'],
      ['--zap-devel'],
      ['--__proto__=x'],
    ),
  },
  { weight: 1, arbitrary: oddText.map((text) => [text]) },
);
const environment = fc
  .array(
    fc.oneof(
      fc.constantFrom(...variables).chain((name) => valueFor(name).map((given) => [name, given] as const)),
      fc.constantFrom(
        ['OP_CONNECT_TOKEN', token] as const,
        ['OP_SERVICE_ACCOUNT_TOKEN', token] as const,
        ['MANAGE_CONNECT', 'TRUE'] as const,
      ),
      fc.constantFrom(['HTTPS_PROXY', `http://u:${password}@proxy`] as const, ['OP_CONNECT_HOST', 'https://connect.example.com'] as const),
    ),
    { maxLength: 6 },
  )
  .map((entries): Record<string, string> => Object.fromEntries(entries));

const word = fc.oneof(fc.constantFrom('shop', 'team-*', '*', 'Prod', 'x'.repeat(26)), oddText);
const policy = fc.array(fc.record({ namespaces: fc.array(word, { maxLength: 3 }), vaults: fc.array(word, { maxLength: 3 }) }), {
  maxLength: 3,
});
/** What YAML has and JSON has not. */
const yaml = fc.constantFrom(
  'pollingInterval: &a 5\nautoRestart: *a\n',
  'vaultPolicy: &a [*a]\n',
  'a: &a [x,x]\nb: &b [*a,*a]\nvaultPolicy: *b\n',
  '<<: {pollingInterval: 5}\n',
  '? [a, b]\n: c\n',
  'pollingInterval: !!binary aGVsbG8=\n',
  'vaultPolicy: !!set {a, b}\n',
  'watchNamespace: 2026-01-01\n',
  'pollingInterval: 5\npollingInterval: 6\n',
  '%YAML 9.9\n---\na\n...\n---\nb\n',
  `connectToken: ${token}\n`,
  `clusterName: "${token}\n`,
  `vaultPolicy: ${token}\n`,
  `vaultPolicy: [{namespaces: [${token}], vaults: [{a: ${token}}]}]\n`,
  'vaultPolicy:\n',
  '\ttab: x\n',
  '--- |\n text\n',
);
const nested = fc
  .tuple(fc.constantFrom('[', '{a: ', '- ', '? ', '!a '), fc.nat(2_000))
  .map(([open, times]) => `vaultPolicy: ${open.repeat(times)}`);
const settings = fc
  .array(
    fc.constantFrom(...settingNames).chain((name) => fc.tuple(fc.constant(name), named.has(name) ? oddText : fc.oneof(value, oddValue))),
    { maxLength: 5 },
  )
  .map((entries) => Object.fromEntries(entries));
const content = fc.oneof(
  { weight: 4, arbitrary: wireBytes(damaged(settings)) },
  { weight: 4, arbitrary: wireBytes(damaged(fc.record({ vaultPolicy: policy }))) },
  { weight: 3, arbitrary: fc.oneof(yaml, oddText).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: nested.map((text) => Buffer.from(text)) },
);

it('a configuration of any content is read, or refused with problems that quote no value', { timeout: 3_600_000 }, async () => {
  const one = fc.record({ args: fc.array(argument, { maxLength: 5 }), variables: environment, content });
  await fuzz('configuration', one, (drawn) => {
    writeFileSync(file, drawn.content);
    const args = [...drawn.args.flat(), `--config=${file}`];
    wantsPrinted(args);
    kubeconfigFlag(args);
    commandOf(args);
    const left = { ...drawn.variables };
    takeEnvironment(left);
    expect(left['OP_CONNECT_TOKEN']).toBeUndefined();
    try {
      refuseCanaries({ 'the warnings': readConfig(drawn.variables, args).warnings.join('\n') });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      refuseCanaries({ 'the problems': error.message });
    }
  });
});

it('a vault policy of any content is taken as a whole, or not at all', { timeout: 3_600_000 }, async () => {
  const vault = fc.record({ id: fc.constant('x'.repeat(26)), name: word });
  await fuzz('vault policies', fc.tuple(content, fc.constantFrom('shop', 'team-a', '__proto__'), vault), ([bytes, namespace, of]) => {
    writeFileSync(file, bytes);
    const found = readVaultPolicy(file);
    refuseCanaries({ 'the problem of a policy': 'problem' in found ? found.problem : '' });
    const rules = 'policy' in found ? found.policy : [];
    const reach = vaultReach(rules, namespace);
    const concerned = (rules ?? []).filter(({ namespaces }) => namespaces.some((pattern) => matchesGlob(pattern, namespace)));
    const isAllowed =
      rules === undefined ||
      concerned.some(({ vaults }) => vaults.some((name) => name === '*' || name === of.id || name.toLowerCase() === of.name.toLowerCase()));
    expect(reach.includes(of)).toBe(isAllowed);
  });
});

const base64 = fc.oneof(oddText, fc.constant(token)).map((text) => Buffer.from(text).toString('base64'));
/** Of a plugin nothing is drawn: it would be run. */
const user = fc.oneof(
  fc.constantFrom({ token }, { tokenFile: 'token' }, { 'token-file': join(folder, 'token') }, { tokenFile: '\0' }, { tokenFile: '.' }),
  fc.record({ username: oddText, password: fc.constant(password) }),
  fc.record({ 'client-certificate-data': base64, 'client-key-data': base64 }),
);
/** Nobody listens on this port, and no name is looked up. */
const server = fc.constantFrom(
  'http://127.0.0.1:1',
  'https://127.0.0.1:1/',
  `https://${token}:${password}@127.0.0.1:1`,
  '127.0.0.1',
  token,
);
const cluster = fc.record(
  { server, 'certificate-authority-data': base64, 'insecure-skip-tls-verify': fc.boolean(), 'tls-server-name': oddText },
  { requiredKeys: ['server'] },
);
const kubeconfig = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Config'),
  clusters: fc.tuple(fc.record({ name: fc.constant('c'), cluster })),
  users: fc.tuple(fc.record({ name: fc.constant('u'), user })),
  contexts: fc.constant([{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'shop' } }]),
  'current-context': fc.constant('x'),
});
const tokenContent = fc.oneof(
  fc.constantFrom(token, `${token}\n`, `${token}\n${token}`, `${token}\0`, ''),
  oddText,
  fc.uint8Array({ maxLength: 20 }),
);

it('a kubeconfig and a file of its token of any content are used, or refused without telling them', { timeout: 3_600_000 }, async () => {
  let asked = 0;
  const given = fc.oneof(wireBytes(kubeconfig), wireBytes(damaged(kubeconfig, fc.oneof(oddValue, fc.constant(token)))));
  await fuzz('kubeconfigs', fc.tuple(given, tokenContent), async ([bytes, held]) => {
    writeFileSync(file, bytes);
    writeFileSync(join(folder, 'token'), held);
    const client = clientOf(credentialsFrom(file));
    if (client === undefined) return;
    asked += 1;
    try {
      await client.request({ method: 'GET', path: '/version', timeout: 1_000 });
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      refuseCanaries({ 'the message of a failure': error.message });
    } finally {
      await client.close();
    }
  });
  if (isReplay) return;
  expect(asked).toBeGreaterThan(0);
});

/** Undefined when the kubeconfig is refused, of which no more is told than of any error. */
function clientOf(load: LoadCredentials): KubeClient | undefined {
  try {
    return createKubeClient({ load, clock: systemClock, userAgent: 'fuzz' });
  } catch (error) {
    refuseCanaries({ 'what the log has of an error': JSON.stringify(describeError(error)) });
    return undefined;
  }
}
