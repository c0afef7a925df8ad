import { randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';

/** Requests of one user, by verb and resource as `patch onepassworditems/status`. */
export type RequestCounts = ReadonlyMap<string, number>;

/**
 * What users asked of the API server, by its own audit log: nobody who is counted has a say in it, and nothing stands in the way of a request. All
 * sides of a comparison are audited alike.
 */
export interface ApiCounts {
  /** Of all requests that were answered before this was called, since the beginning. */
  of(user: string): Promise<RequestCounts>;
  /** The same, once nothing was added for half a second. */
  settled(user: string): Promise<RequestCounts>;
}

interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username?: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string };
}

const reads = new Set(['get', 'list', 'watch']);
/** What is told to people: no work on what was created or rotated. */
export const told: ReadonlySet<string> = new Set(['events']);

/** @param mark asks for a path as a user who is audited: its line comes after those of all requests that were answered before */
export function createApiCounts(file: string, mark: (path: string) => Promise<void>): ApiCounts {
  const counts = new Map<string, Map<string, number>>();
  const marks = new Set<string>();
  let offset = 0;
  let rest = '';

  async function readOn(): Promise<void> {
    const log = await open(file);
    try {
      const stream = log.createReadStream({ start: offset, encoding: 'utf8', autoClose: false });
      for await (const chunk of stream as AsyncIterable<string>) {
        offset += Buffer.byteLength(chunk);
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) take(JSON.parse(line) as AuditEvent);
      }
    } finally {
      await log.close();
    }
  }

  function take({ verb, requestURI, user: { username = '' }, objectRef: { resource, subresource } = {} }: AuditEvent): void {
    if (resource === undefined) {
      marks.add(requestURI);
      return;
    }
    const ofUser = counts.get(username) ?? new Map<string, number>();
    const what = `${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`;
    counts.set(username, ofUser.set(what, (ofUser.get(what) ?? 0) + 1));
  }

  async function of(user: string): Promise<RequestCounts> {
    const path = `/version?mark=${randomUUID()}`;
    await mark(path);
    await eventually('the audit log of the API server', async () => {
      await readOn();
      return marks.delete(path) ? true : undefined;
    });
    return new Map(counts.get(user));
  }

  return {
    of,
    async settled(user) {
      let before = await of(user);
      for (;;) {
        await pause(500);
        const now = await of(user);
        if (sum(between(before, now)) === 0) return now;
        before = now;
      }
    },
  };
}

/** What was added, leases left out. */
export function between(before: RequestCounts, after: RequestCounts): RequestCounts {
  const added = [...after].map(([what, count]) => [what, count - (before.get(what) ?? 0)] as const);
  return new Map(added.filter(([what, count]) => count > 0 && !what.includes(' leases')));
}

/** The writes among requests, but for those of some resources. */
export function writesOf(counts: RequestCounts, aside: ReadonlySet<string> = new Set()): number {
  return sum(counts, (verb, resource) => !reads.has(verb) && !aside.has(resource));
}

function sum(counts: RequestCounts, wanted: (verb: string, resource: string) => boolean = () => true): number {
  let total = 0;
  for (const [what, count] of counts) {
    const [verb = '', resource = ''] = what.split(' ');
    if (wanted(verb, resource)) total += count;
  }
  return total;
}
