import type { LoggedRequest } from '../../dev/connect-server/requests.ts';
import type { AuditRecord } from '../../src/observability/audit-record.ts';
import type { Interval, SecretState, Versions } from './history.ts';
import { clock, type Violation } from './violation.ts';

/** A process of the operator that had led and ended, and when it was stopped before that. */
export interface Death {
  readonly at: number;
  readonly stops: readonly Interval[];
}

/** An answer is recorded within so long after it has arrived, in milliseconds; who dies before that gave it to nobody. */
const recordingTime = 2_000;
const itemRoutes = new Set(['GET /v1/vaults/{vault}/items/{item}', 'GET /v1/vaults/{vault}/items/{item}/files/{file}/content']);

/**
 * Every retrieval of an item that Connect served has one record, but for those under way when the process died that had asked, and every retrieval on
 * record that was answered is in Connect's log.
 */
export function auditIsComplete(
  requests: readonly LoggedRequest[],
  records: readonly AuditRecord[],
  deaths: readonly Death[],
): readonly Violation[] {
  const served = requests.filter(({ route, status }) => itemRoutes.has(route) && status === 200);
  const retrievals = records.flatMap((record) => (record.action === 'item.retrieve' || record.action === 'file.retrieve' ? [record] : []));
  const recorded = Map.groupBy(retrievals, ({ requestId }) => requestId);
  const known = new Set(requests.map(({ requestId }) => requestId));
  const missing = served
    .filter((request) => !recorded.has(request.requestId ?? '') && !diedWith(request, deaths))
    .map((request) =>
      violationOf(request.path, `retrieved at ${clock(request.at)} by request ${request.requestId ?? '?'}, which has no record`),
    );
  const double = [...recorded]
    .filter(([, some]) => some.length > 1)
    .map(([id, some]) => violationOf(id, `${some.length} records of one request`));
  const invented = retrievals
    .filter(({ status, requestId }) => status === 200 && !known.has(requestId))
    .map(({ requestId, time }) => violationOf(requestId, `a record of ${time}, and Connect knows of no such request`));
  return [...missing, ...double, ...invented, ...gapsOf(records)];
}

/** Each version of an item that a Secret ever held was retrieved on record, for the resource of that name: records are flushed before what follows from them. */
export function versionsAreOnRecord(secrets: Versions<SecretState>, records: readonly AuditRecord[]): readonly Violation[] {
  const retrieved = new Set(
    records.flatMap((record) =>
      record.action === 'item.retrieve' ? record.requesters.map(({ name }) => `${name} ${record.itemVersion ?? '?'}`) : [],
    ),
  );
  return [...secrets].flatMap(([name, versions]) => {
    const held = new Set(versions.flatMap(({ state: { itemVersion } }) => itemVersion ?? []));
    return [...held]
      .filter((version) => !retrieved.has(`${name} ${version}`))
      .map((version) => violationOf(`Secret/${name}`, `held version ${version} of its item, which nobody retrieved on record`));
  });
}

/** Numbers that are missing among the records of a process. */
function gapsOf(records: readonly AuditRecord[]): readonly Violation[] {
  return [...Map.groupBy(records, ({ process }) => process)].flatMap(([process, some]) => {
    const numbers = some.map(({ seq }) => seq);
    const whole = numbers.every((number, index) => number === index + 1);
    return whole
      ? []
      : [violationOf(process, `records are missing, or out of order: ${numbers.length} up to number ${Math.max(...numbers)}`)];
  });
}

function diedWith({ at, endedAt }: LoggedRequest, deaths: readonly Death[]): boolean {
  return deaths.some((death) => {
    if (death.at < at) return false;
    const from = endedAt ?? death.at;
    const stopped = death.stops.reduce((sum, stop) => sum + Math.max(0, Math.min(stop.to, death.at) - Math.max(stop.from, from)), 0);
    return death.at - from - stopped < recordingTime;
  });
}

function violationOf(object: string, detail: string): Violation {
  return { object, detail };
}
