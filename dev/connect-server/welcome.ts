import type { Item, Vault } from './item.ts';
import type { ConnectServer } from './server.ts';

/** What is printed once the server listens: what it is, how to reach it, and what to try. */
export function welcome({ url, store }: ConnectServer, token: string): string {
  const [vault] = store.vaults();
  const tries = vault === undefined ? [] : triesFor(vault, store.activeItems(vault.id));
  return `A 1Password Connect server for demonstration and tests only: it listens on loopback alone and keeps everything in memory.

export OP_CONNECT_HOST=${url}
export OP_CONNECT_TOKEN=${token}

Try, with these two set:

${[`curl -H "Authorization: Bearer $OP_CONNECT_TOKEN" "$OP_CONNECT_HOST/v1/vaults"`, ...tries].map((line) => `  ${line}\n`).join('\n')}
Faults can be ordered: curl -d '{"kind":"status","status":503,"times":3}' "$OP_CONNECT_HOST/dev/faults"
Ctrl-C ends it.
`;
}

/** Reading an item, and rotating its first concealed value. */
function triesFor(vault: Vault, items: readonly Item[]): string[] {
  const candidates = items.flatMap((item) => item.fields.filter(({ type }) => type === 'CONCEALED').map((field) => ({ item, field })));
  const [candidate] = candidates;
  if (candidate === undefined) return [];
  const request = (rest: string) =>
    `curl -H "Authorization: Bearer $OP_CONNECT_TOKEN" ${rest}"$OP_CONNECT_HOST/v1/vaults/${vault.id}/items/${candidate.item.id}"`;
  const fieldId = candidate.field.id.replaceAll('~', '~0').replaceAll('/', '~1');
  const patch = JSON.stringify([{ op: 'replace', path: `/fields/${fieldId}/value`, value: 'a-new-value' }]);
  return [request(''), request(`-X PATCH -d '${patch.replaceAll("'", "'\\''")}' `)];
}
