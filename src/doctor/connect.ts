import type { Config } from '../config.ts';
import type { ConnectClient } from '../connect/client.ts';
import type { ConnectProbe, Heartbeat } from '../connect/health.ts';
import type { AccessToken } from '../connect/token.ts';
import { fail, type Finding, ok, warn } from '../domain/finding.ts';
import type { Vault } from '../domain/item.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Check } from './check.ts';
import { clockFinding } from './clock-finding.ts';

export interface ConnectChecksOptions {
  readonly config: Pick<Config, 'connectHost' | 'connectTokenFile' | 'connectProxy' | 'vaultPolicy'>;
  readonly token: AccessToken | undefined;
  readonly client: Pick<ConnectClient, 'listVaults'>;
  readonly probe: Pick<ConnectProbe, 'heartbeat' | 'health'>;
  readonly clock: Clock;
}

const day = 24 * 60 * 60 * 1000;
/** As the alert has it. */
const expiryNotice = 14 * day;
/** Names that are shown at a time. */
const maxNames = 20;

/** Where Connect is, how it is, and what it gives to whom: no item is asked for. */
export function connectChecks({ config, token, client, probe, clock }: ConnectChecksOptions): readonly Check[] {
  let heartbeat: Heartbeat | undefined;
  let vaults: readonly Vault[] = [];
  return [
    { name: 'token', run: async () => [tokenFinding(config.connectTokenFile, token, clock.now())] },
    {
      name: 'Connect',
      async run(signal) {
        heartbeat = await probe.heartbeat(signal);
        return [reachedFinding(config, heartbeat, clock.now())];
      },
    },
    { name: 'Connect clock', needs: 'Connect', run: async () => [clockFinding('Connect clock', heartbeat?.ahead)] },
    {
      name: 'vaults',
      needs: 'Connect',
      async run(signal) {
        vaults = await client.listVaults(signal);
        return [vaultsFinding(vaults)];
      },
    },
    {
      name: 'vault policy',
      ...(config.vaultPolicy !== undefined && { needs: 'vaults' }),
      run: async () => [policyFinding(config.vaultPolicy, vaults)],
    },
    {
      name: 'Connect health',
      needs: 'Connect',
      // It begins to work with the first request that has a good token.
      after: 'vaults',
      async run(signal) {
        const { version, dependencies } = await probe.health(signal);
        return [ok('Connect health', `version ${version}`), ...dependencies.map(dependencyFinding)];
      },
    },
  ];
}

function tokenFinding(file: string | undefined, token: AccessToken | undefined, now: number): Finding {
  const name = 'token';
  const from = file ?? 'OP_CONNECT_TOKEN';
  if (token === undefined) return fail(name, `${from} holds none`, 'write an access token of the Connect server into it, alone');
  const { id, expiry, features, vaults } = token.claims;
  if (expiry !== undefined && expiry <= now)
    return fail(name, `that of ${from} expired on ${date(expiry)} (id ${id})`, 'issue another one in 1Password');
  if (id === 'opaque')
    return warn(
      name,
      `that of ${from} is no JWT with an id, as those of 1Password are`,
      'see that it is an access token of a Connect server',
    );
  const said = [
    `id ${id}`,
    ...(expiry === undefined ? [] : [`expires on ${date(expiry)}`]),
    ...(features === undefined ? [] : [`features ${features.join(', ') || 'none'}`]),
    ...(vaults === undefined ? [] : [`made for ${counted(vaults, 'vault')}`]),
  ];
  return ok(name, `from ${from}: ${said.join(', ')}`);
}

function reachedFinding(
  { connectHost, connectProxy }: ConnectChecksOptions['config'],
  { certificateExpiry }: Heartbeat,
  now: number,
): Finding {
  const { origin } = new URL(connectHost);
  const way = connectProxy === undefined ? '' : `, through the proxy ${new URL(connectProxy).host}`;
  if (certificateExpiry === undefined) return ok('Connect', `${origin} answers${way}`);
  if (certificateExpiry - now < expiryNotice)
    return warn('Connect', `the certificate of ${origin} expires on ${date(certificateExpiry)}`, 'renew it');
  return ok('Connect', `${origin} answers${way}; its certificate is good until ${date(certificateExpiry)}`);
}

function vaultsFinding(vaults: readonly Vault[]): Finding {
  if (vaults.length === 0) return fail('vaults', 'the token reaches no vault', 'issue one in 1Password that has access to vaults');
  return ok('vaults', `the token reaches ${counted(vaults.length, 'vault')}: ${listed(vaults.map(({ name }) => name))}`);
}

function policyFinding(policy: Config['vaultPolicy'], vaults: readonly Vault[]): Finding {
  const name = 'vault policy';
  if (policy === undefined)
    return warn(name, 'there is none: every namespace may read every vault the token reaches', 'set vaultPolicy in the config file');
  const known = new Set(vaults.flatMap((vault) => [vault.id, vault.name.toLowerCase()]));
  const named = [...new Set(policy.flatMap((rule) => rule.vaults))];
  const unknown = named.filter((vault) => vault !== '*' && !known.has(vault) && !known.has(vault.toLowerCase()));
  if (unknown.length > 0)
    return warn(
      name,
      `it names vaults that the token does not reach: ${listed(unknown)}`,
      'check their spelling, or give the token access to them',
    );
  return ok(name, `${counted(policy.length, 'rule')}, and every vault in it is there`);
}

function dependencyFinding({ service, status }: { readonly service: string; readonly status: string }): Finding {
  const name = 'Connect health';
  if (status === 'ACTIVE') return ok(name, `${service} is ACTIVE`);
  if (status === 'TOKEN_NEEDED')
    return fail(
      name,
      `${service} waits for a first request with a good token (TOKEN_NEEDED)`,
      'mend what is said of the token and the vaults',
    );
  return fail(name, `${service} is ${status}`, 'see the logs of connect-api and connect-sync, and their credentials file');
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, maxNames).map((name) => JSON.stringify(name));
  return [...shown, ...(names.length > maxNames ? [`and ${names.length - maxNames} more`] : [])].join(', ');
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `2027-01-31`; a time that is none is said to be so. */
function date(time: number): string {
  return Math.abs(time) < 8.64e15 ? new Date(time).toISOString().slice(0, 10) : 'no date';
}
