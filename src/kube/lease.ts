import { type Clock, pause } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { type KubeClient, KubeError } from './client.ts';
import { collectionPath, leases, objectPath, type WireMeta } from './resource.ts';

export interface LeaderElectionOptions {
  /** A client of its own: a renewal waits behind no other request, and is not fenced. */
  readonly kube: Pick<KubeClient, 'request'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly namespace: string;
  readonly name: string;
  /** Of this process and of no other, before or after it. */
  readonly identity: string;
  /** For how long nobody else takes a lease that was renewed, in milliseconds. */
  readonly leaseDuration: number;
  /** How long after the last renewal that succeeded the lease is given up, in milliseconds; less than `leaseDuration`. */
  readonly renewDeadline: number;
  /** The longest time between two attempts, in milliseconds; less than `renewDeadline`. */
  readonly retryPeriod: number;
  /** This process leads, or has ceased to. */
  readonly onLeader: (leading: boolean) => void;
  /** Somebody else holds the lease, and did not a moment ago; nobody does when the identity is empty. */
  readonly onHolder: (identity: string) => void;
  /** The lease could not be read or written, for the `failures`th time in a row. */
  readonly onFailure: (error: KubeError, failures: number) => void;
}

/** One of several processes holds the Lease, and that one leads. */
export interface LeaderElection {
  /** Resolves with true once the lease is held, with false when `signal` is aborted before. */
  acquire(signal: AbortSignal): Promise<boolean>;
  /** Renews the lease until `signal` is aborted. @throws LeaseError when it is lost */
  hold(signal: AbortSignal): Promise<void>;
  /** True while nobody else can hold the lease: the last renewal was asked for less than the lease's duration ago. */
  readonly mayWrite: () => boolean;
  /** Gives the lease back, so that another process need not wait for its end; from then on nothing may be written. */
  release(): Promise<void>;
}

/** The lease is lost, or cannot be had at all; the message says which. */
export class LeaseError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LeaseError';
  }
}

/** `spec` of a Lease, as far as we read it; others may write any of it. */
interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

interface WireLease {
  readonly metadata: WireMeta;
  readonly spec?: LeaseSpec;
}

/** Attempts at giving the lease back, each after a conflict with a renewal of ours that was believed lost. */
const releaseAttempts = 3;
/** Of the time for a renewal the part that one request may take: a second one has to fit in. */
const requestShare = 0.5;

/** The election as client-go holds it: whoever finds the Lease free, or unrenewed for its whole duration, takes it. */
export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { kube, clock, random, namespace, name, identity, leaseDuration, renewDeadline, retryPeriod } = options;
  const path = objectPath(leases, { namespace, name });
  /** The Lease as the API server last gave it, and since when it says what it says, by our own clock: those of others may be wrong. */
  let seen: { readonly lease: WireLease; readonly text: string; readonly since: number } | undefined;
  /** When the last renewal that succeeded was asked for: what others count from is later. */
  let renewedAt = Number.NEGATIVE_INFINITY;
  let leading = false;
  /** The Lease may have our name, whether we know it or not. */
  let mayBeOurs = false;
  let failures = 0;

  const age = (): number => clock.monotonic() - renewedAt;

  function see(lease: WireLease): WireLease {
    const text = JSON.stringify(lease.spec ?? {});
    const before = seen && holderOf(seen.lease);
    seen = { lease, text, since: seen?.text === text ? seen.since : clock.monotonic() };
    const holder = holderOf(lease);
    const isOurRelease = holder === '' && before === identity;
    if (holder !== before && holder !== identity && !isOurRelease) options.onHolder(holder);
    return lease;
  }

  /** Undefined when there is none. */
  async function read(timeout: number): Promise<WireLease | undefined> {
    try {
      return see(await kube.request<WireLease>({ method: 'GET', path, timeout }));
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      seen = undefined;
      return undefined;
    }
  }

  async function write(before: WireLease | undefined, spec: LeaseSpec, timeout: number): Promise<void> {
    const metadata = before?.metadata ?? { name, namespace };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: { ...before?.spec, ...spec } };
    mayBeOurs = true;
    see(
      await kube.request<WireLease>(
        before === undefined
          ? { method: 'POST', path: collectionPath(leases, namespace), body, timeout }
          : { method: 'PUT', path, body, timeout },
      ),
    );
  }

  /** Writes that we hold the lease, guarded by its `resourceVersion`. @throws KubeError 409 when somebody was faster */
  async function take(before: WireLease | undefined, timeout: number): Promise<void> {
    const now = microTime(clock.now());
    const isOurs = before !== undefined && holderOf(before) === identity;
    const transitions = before?.spec?.leaseTransitions ?? 0;
    const askedAt = clock.monotonic();
    await write(
      before,
      {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(leaseDuration / 1000),
        renewTime: now,
        ...(!isOurs && { acquireTime: now, leaseTransitions: before === undefined ? 0 : transitions + 1 }),
      },
      timeout,
    );
    renewedAt = askedAt;
  }

  /** True while somebody else's lease is not over. */
  function isTaken(lease: WireLease): boolean {
    const holder = holderOf(lease);
    if (holder === '' || holder === identity || seen === undefined) return false;
    return clock.monotonic() - seen.since < durationOf(lease, leaseDuration);
  }

  /** One attempt to take the lease, or to renew it, within `limit` milliseconds. False when somebody else holds it. @throws KubeError */
  async function attempt(limit: number): Promise<boolean> {
    const end = clock.monotonic() + limit;
    const timeout = (): number => Math.max(1, Math.min(renewDeadline * requestShare, end - clock.monotonic()));
    if (leading && seen !== undefined) {
      try {
        await take(seen.lease, timeout());
        return true;
      } catch (error) {
        // A renewal that was believed lost may have arrived; it is read who has the lease now.
        if (!isStatus(error, 409) && !isStatus(error, 404)) throw error;
      }
    }
    const lease = await read(timeout());
    if (lease !== undefined && (leading ? holderOf(lease) !== identity : isTaken(lease))) return false;
    try {
      await take(lease, timeout());
      return true;
    } catch (error) {
      if (isStatus(error, 409)) return false;
      throw error;
    }
  }

  /** The same; undefined when the API server could not be asked, or refused. */
  async function attempted(limit: number): Promise<boolean | undefined> {
    try {
      const held = await attempt(limit);
      failures = 0;
      return held;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      failures += 1;
      options.onFailure(error, failures);
      return undefined;
    }
  }

  function turn(now: boolean): void {
    if (leading === now) return;
    leading = now;
    options.onLeader(now);
  }

  return {
    async acquire(signal) {
      while (!signal.aborted) {
        if (await attempted(renewDeadline)) {
          // An answer that came too late is worth nothing: others count on from the request.
          if (age() < renewDeadline) turn(true);
          if (leading) return true;
        }
        // Those who wait together do not come together, and who leaves is followed well within one period.
        await pause(clock, retryPeriod * (0.25 + 0.5 * random()), signal);
      }
      return false;
    },

    async hold(signal) {
      while (!signal.aborted) {
        await pause(clock, Math.max(0, Math.min(retryPeriod * (0.9 + 0.1 * random()), renewDeadline - age())), signal);
        if (signal.aborted) return;
        const left = renewDeadline - age();
        const held = left > 0 ? await attempted(left) : undefined;
        if (held === false || age() >= renewDeadline) {
          turn(false);
          // What was lost runs out by itself.
          mayBeOurs = false;
          throw new LeaseError(
            held === false
              ? `another process took the lease ${namespace}/${name}: this one ends, so that two never act`
              : `the lease ${namespace}/${name} could not be renewed in time: this process ends, so that two never act`,
          );
        }
      }
    },

    mayWrite: () => leading && age() < leaseDuration,

    async release() {
      turn(false);
      if (!mayBeOurs) return;
      try {
        for (let left = releaseAttempts; left > 0; left -= 1) {
          const lease = await read(retryPeriod);
          if (lease === undefined || holderOf(lease) !== identity) return;
          const now = microTime(clock.now());
          try {
            await write(lease, { holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now }, retryPeriod);
            return;
          } catch (error) {
            if (!isStatus(error, 409)) throw error;
          }
        }
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        options.onFailure(error, failures + 1);
      }
    },
  };
}

function holderOf({ spec }: WireLease): string {
  return spec?.holderIdentity ?? '';
}

/** In milliseconds, by what its holder wrote. */
function durationOf({ spec }: WireLease, fallback: number): number {
  const seconds = spec?.leaseDurationSeconds;
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : fallback;
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof KubeError && error.status === status;
}

/** RFC 3339 with microseconds, as MicroTime of the API wants it. */
function microTime(time: number): string {
  return new Date(time).toISOString().replace('Z', '000Z');
}
