import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { credentialsFrom } from '../../../src/kube/credentials.ts';

const folder = mkdtempSync(join(tmpdir(), 'keyturn-credentials-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('a kubeconfig whose server is no URL is refused when it is read', () => {
  const file = join(folder, 'kubeconfig');
  const clusters = [{ name: 'one', cluster: { server: 'nowhere' } }];
  const contexts = [{ name: 'one', context: { cluster: 'one', user: 'me' } }];
  writeFileSync(file, JSON.stringify({ clusters, contexts, users: [{ name: 'me', user: { token: 't' } }], 'current-context': 'one' }));
  expect(credentialsFrom(file)).toThrow(/no URL/);
});
