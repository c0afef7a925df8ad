import { objectKey } from '../domain/object.ts';
import { recordedSource } from '../domain/recorded-source.ts';
import type { ManagedSecret } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import type { Workload } from '../kube/workload.ts';
import type { AuditEntry, Requester } from '../observability/audit-record.ts';
import type { Owners } from './owners.ts';
import type { Change } from './restart-news.ts';

/** What the audit says of a restart: of what, for which Secrets and the items they hold, and who asks for those. */
export function restartEntry(
  { kind, namespace, name, uid, generation }: Workload,
  { changed }: Change,
  { secrets, owners }: { readonly secrets: Store<ManagedSecret>; readonly owners: Owners },
): AuditEntry {
  const keys = changed.map(({ secret }) => objectKey({ namespace, name: secret }));
  const requesters = new Map<string, Requester>();
  for (const owner of keys.flatMap((key) => owners.of(key))) requesters.set(owner.uid, asRequester(owner));
  return {
    action: 'workload.restart',
    workload: { kind, namespace, name, uid, generation },
    secrets: changed.map(({ secret }, index) => ({ name: secret, ...recordedSource(secrets.get(keys[index] ?? '')?.annotations ?? {}) })),
    requesters: [...requesters.values()],
    result: 'success',
  };
}

function asRequester({ kind, namespace, name, uid, generation }: ReturnType<Owners['of']>[number]): Requester {
  return { kind, namespace, name, uid, generation };
}
