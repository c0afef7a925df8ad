import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** What operators asked of API servers during a run of the integration tests. */
export interface ApiAuditSummary {
  /** When the run began (RFC 3339): what was changed later was not tested. */
  readonly began: string;
  /** Why it says nothing of the whole suite; absent when all of it ran. */
  readonly partial?: string;
  /** What the control planes lacked, so that tests were skipped; absent when they had everything. */
  readonly limited?: string;
  readonly used: readonly PermissionUse[];
  readonly refused: readonly Refusal[];
}

/** A permission that was made use of. */
export interface PermissionUse {
  /** As RBAC knows who asked. */
  readonly user: string;
  /** Empty for the core group. */
  readonly group: string;
  /** With a subresource as `onepassworditems/status`. */
  readonly resource: string;
  readonly verb: string;
  readonly count: number;
}

/** A request that was answered with 403. */
export interface Refusal {
  readonly user: string;
  readonly verb: string;
  readonly uri: string;
  /** Who refused it: `forbid` is RBAC, `allow` is somebody after it, such as admission. */
  readonly decision: string;
  readonly message: string;
  /** The API server was not ready: it serves before it has read the roles, and refuses everybody then. */
  readonly whileStarting: boolean;
  /** RFC 3339. */
  readonly at: string;
}

/** What one API server wrote. */
export interface ApiAuditLog {
  readonly file: string;
  /** When it was started again and not ready yet. */
  readonly starts: readonly { readonly from: Date; readonly to: Date }[];
}

/** A line of the audit log, as far as it is read. */
interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username?: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number; readonly message?: string };
  readonly stageTimestamp: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Sums up audit logs of API servers, a line at a time: they are large. @throws Error when a line is not as an API server writes it */
export async function summarizeApiAudit(logs: readonly ApiAuditLog[]): Promise<Pick<ApiAuditSummary, 'used' | 'refused'>> {
  const used = new Map<string, { -readonly [K in keyof PermissionUse]: PermissionUse[K] }>();
  const refused: Refusal[] = [];
  for (const { file, starts } of logs) {
    for await (const line of createInterface({ input: createReadStream(file) })) take(JSON.parse(line) as AuditEvent, starts);
  }
  return { used: [...used.values()].toSorted((a, b) => keyOf(a).localeCompare(keyOf(b))), refused };

  function take(
    { verb, requestURI: uri, user: { username: user = '' }, objectRef, ...event }: AuditEvent,
    starts: ApiAuditLog['starts'],
  ): void {
    const { code, message = '' } = event.responseStatus ?? {};
    if (code === 403) {
      const decision = event.annotations?.['authorization.k8s.io/decision'] ?? '';
      const at = event.stageTimestamp;
      const time = Date.parse(at);
      const whileStarting = starts.some(({ from, to }) => from.getTime() <= time && time <= to.getTime());
      refused.push({ user, verb, uri, decision, message, whileStarting, at });
      return;
    }
    // What is no resource, such as /version, everybody may read.
    if (objectRef?.resource === undefined || code === 401) return;
    const { apiGroup: group = '', resource: plural, subresource } = objectRef;
    const permission = { user, group, resource: subresource === undefined ? plural : `${plural}/${subresource}`, verb };
    const key = keyOf(permission);
    const entry = used.get(key) ?? { ...permission, count: 0 };
    entry.count += 1;
    used.set(key, entry);
  }
}

function keyOf({ user, group, resource, verb }: Omit<PermissionUse, 'count'>): string {
  return `${user} ${group} ${resource} ${verb}`;
}
