import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readVaultPolicy, type VaultPolicyFile } from '../../../src/vault-policy-file.ts';

async function read(text: string): Promise<VaultPolicyFile> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-config-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'config.yaml');
  await writeFile(file, text);
  return readVaultPolicy(file);
}

describe('the vault policy in a config file', () => {
  it('is read, and what else is in the file is left alone', async () => {
    const text = `logFormat: text
vaultPolicy:
  - namespaces: [shop, "team-*"]
    vaults: [Prod, aaaaaaaaaaaaaaaaaaaaaaaaaa]
`;
    const policy = [{ namespaces: ['shop', 'team-*'], vaults: ['Prod', 'aaaaaaaaaaaaaaaaaaaaaaaaaa'] }];
    expect(await read(text)).toEqual({ policy });
  });

  it('may be absent, which allows everything, or without rules, which allows nothing', async () => {
    expect(await read('logFormat: text')).toEqual({ policy: undefined });
    expect(await read('vaultPolicy: []')).toEqual({ policy: [] });
  });

  it.each([
    ['', 'it holds no settings'],
    ['- a', 'it holds no settings'],
    ['a: [canary', 'it is not YAML'],
    ['vaultPolicy:', 'vaultPolicy: '],
    ['vaultPolicy: {shop: Prod}', 'vaultPolicy: '],
    ['vaultPolicy: [{namespaces: [shop]}]', 'vaultPolicy[0].vaults: '],
    ['vaultPolicy: [{namespaces: [], vaults: [Prod]}]', 'vaultPolicy[0].namespaces: '],
    ['vaultPolicy: [{namespaces: [shop], vaults: [" "]}]', 'vaultPolicy[0].vaults[0]: '],
    ['vaultPolicy: [{namespaces: ["sho?"], vaults: [Prod]}]', 'vaultPolicy[0].namespaces[0]: must be the name of a namespace'],
    ['vaultPolicy: [{namespaces: [shop], vaults: [Prod], vault: [canary]}]', 'vaultPolicy[0]: '],
  ])('that cannot be read is a problem, and no policy: %j', async (text, problem) => {
    expect(await read(text)).toEqual({ problem: expect.stringContaining(problem) as string });
  });

  it('is a problem when there is no file', () => {
    expect(readVaultPolicy('/nowhere/config.yaml')).toEqual({ problem: 'it cannot be read' });
  });
});
