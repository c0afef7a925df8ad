import { randomUUID } from 'node:crypto';
import type { WireApiRequest } from '../../src/connect/schema.ts';
import type { Grant } from './tokens.ts';

/** What was done, by whom, and to what. */
export interface ActivityEntry {
  readonly action: WireApiRequest['action'];
  readonly result: WireApiRequest['result'];
  readonly grant: Grant;
  readonly userAgent: string;
  readonly requestIp: string;
  readonly resource: WireApiRequest['resource'];
}

/** Connect's audit trail: the last 1,000 requests for vaults and items that were answered or denied. */
export interface Activity {
  record(entry: ActivityEntry): void;
  /** Newest first. */
  page(offset: number, limit: number): readonly WireApiRequest[];
  readonly total: number;
}

const capacity = 1000;

/** An empty trail; `clock` gives milliseconds since the epoch. */
export function createActivity(clock: () => number): Activity {
  let entries: WireApiRequest[] = [];
  return {
    record({ action, result, grant, userAgent, requestIp, resource }) {
      const actor = { id: grant.actorId, account: grant.account, jti: grant.jti, userAgent, requestIp };
      entries.push({ requestId: randomUUID(), timestamp: new Date(clock()).toISOString(), action, result, actor, resource });
      if (entries.length >= capacity * 2) entries = entries.slice(-capacity);
    },
    page: (offset, limit) =>
      kept(entries)
        .toReversed()
        .slice(offset, offset + limit),
    get total() {
      return Math.min(entries.length, capacity);
    },
  };
}

function kept(entries: readonly WireApiRequest[]): readonly WireApiRequest[] {
  return entries.slice(-capacity);
}
