import { z } from 'zod';
import type { StoreView } from './store.ts';

/** A header's value, without line breaks. */
const headerSchema = z.string().regex(/^[\x20-\x7E]*$/, { error: 'printable ASCII is expected' });

const matchShape = {
  /** Such as `GET /v1/vaults/{vault}/items/{item}`. */
  route: z.string().optional(),
  /** A prefix of the path and query, such as `/v1/vaults/abc`. */
  path: z.string().startsWith('/').optional(),
  /** How many requests it spoils; unlimited unless it says otherwise. */
  times: z.int().positive().optional(),
  /** Only each n-th matching request is spoiled, the n-th first: 2 is one of two replicas. */
  every: z.int().positive().optional(),
};

/** What may be ordered. Without `route` and `path` it concerns every request to the API. */
export const faultOrderSchema = z.discriminatedUnion('kind', [
  /** Answers with a status and a body: text as it is, else JSON; an error of the API unless it says otherwise. */
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(200).max(599),
    /** Seconds, or a date in HTTP's form. */
    retryAfter: z.union([z.number().nonnegative(), headerSchema]).optional(),
    body: z.unknown().optional(),
    contentType: headerSchema.optional(),
    ...matchShape,
  }),
  /** Answers later by this many milliseconds; goes together with one other fault. */
  z.strictObject({ kind: z.literal('latency'), ms: z.number().nonnegative(), ...matchShape }),
  /**
   * Never answers, or stops after half of the body. What hangs goes on hanging when the fault is cleared, until the client gives up or the
   * server closes.
   */
  z.strictObject({ kind: z.literal('hang'), at: z.enum(['start', 'body']).optional(), ...matchShape }),
  /** Resets the connection: instead of an answer, or after half of its body. */
  z.strictObject({ kind: z.literal('reset'), at: z.enum(['start', 'body']).optional(), ...matchShape }),
  /** Ends the connection in order, after half of the body that its length announced. */
  z.strictObject({ kind: z.literal('truncated'), ...matchShape }),
  /** Answers with half of the body, as if that were all. */
  z.strictObject({ kind: z.literal('malformed'), ...matchShape }),
  /**
   * Goes on with blanks after the answer, up to this many bytes in all: JSON stays what it was, and only a client with a limit minds. They
   * are written as the client takes them, never held. The length is announced unless `contentLength` is false.
   */
  z.strictObject({ kind: z.literal('huge'), bytes: z.int().positive(), contentLength: z.boolean().optional(), ...matchShape }),
  /** Answers with another content type. */
  z.strictObject({ kind: z.literal('content-type'), contentType: headerSchema, ...matchShape }),
  /** Answers with 302. */
  z.strictObject({ kind: z.literal('redirect'), location: headerSchema, ...matchShape }),
  /** Answers reads from the store as it was when the fault was ordered, as a lagging replica does. */
  z.strictObject({ kind: z.literal('stale'), ...matchShape }),
]);

export type FaultOrder = z.input<typeof faultOrderSchema>;

/** A fault that stands, and how often it has struck. */
export interface OrderedFault {
  readonly id: string;
  readonly order: FaultOrder;
  readonly hits: number;
  /** Withdraws it. */
  clear(): void;
}

/** The faults that stand. Of those that match a request the oldest strikes; latency adds up and strikes beside it. */
export interface Faults {
  /** Throws a ZodError for what is no fault. */
  order(order: FaultOrder): OrderedFault;
  list(): readonly OrderedFault[];
  clear(): void;
}

/** What befalls one request. */
export interface Affliction {
  /** Milliseconds. */
  readonly latency: number;
  readonly fault?: Exclude<FaultOrder, { kind: 'latency' }>;
  /** Where a stale replica reads. */
  readonly staleView?: StoreView;
}

/** The faults, and how the server asks what befalls a request. */
export interface FaultBoard extends Faults {
  strike(request: { readonly route: string; readonly path: string }): Affliction;
}

interface Standing {
  readonly id: string;
  readonly order: FaultOrder;
  readonly staleView: StoreView | undefined;
  matches: number;
  hits: number;
}

/** A board without faults; `snapshot` gives the store as it is now. */
export function createFaults(snapshot: () => StoreView): FaultBoard {
  let standing: Standing[] = [];
  let ordered = 0;

  const remove = (id: string) => void (standing = standing.filter((fault) => fault.id !== id));
  const handleOf = (fault: Standing): OrderedFault => ({
    id: fault.id,
    order: fault.order,
    get hits() {
      return fault.hits;
    },
    clear: () => remove(fault.id),
  });

  return {
    order(given) {
      const order = faultOrderSchema.parse(given);
      ordered += 1;
      const fault: Standing = {
        id: String(ordered),
        order,
        staleView: order.kind === 'stale' ? snapshot() : undefined,
        matches: 0,
        hits: 0,
      };
      standing.push(fault);
      return handleOf(fault);
    },
    list: () => standing.map(handleOf),
    clear: () => void (standing = []),
    strike(request) {
      let affliction: Affliction = { latency: 0 };
      for (const fault of standing) {
        if (fault.order.kind !== 'latency' && affliction.fault !== undefined) continue;
        if (matches(fault.order, request) && isDue(fault)) affliction = afflict(affliction, fault);
      }
      return affliction;
    },
  };
}

function matches({ route, path }: FaultOrder, request: { readonly route: string; readonly path: string }): boolean {
  return (route === undefined || route === request.route) && (path === undefined || request.path.startsWith(path));
}

/** Counts the request, and says whether the fault strikes it. */
function isDue(fault: Standing): boolean {
  const { times = Infinity, every = 1 } = fault.order;
  if (fault.hits >= times) return false;
  fault.matches += 1;
  if (fault.matches % every !== 0) return false;
  fault.hits += 1;
  return true;
}

function afflict(affliction: Affliction, { order, staleView }: Standing): Affliction {
  if (order.kind === 'latency') return { ...affliction, latency: affliction.latency + order.ms };
  return { ...affliction, fault: order, ...(staleView === undefined ? {} : { staleView }) };
}
