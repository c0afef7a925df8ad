/** One request to the API, as it arrived. */
export interface LoggedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** `METHOD /v1/vaults/{vault}/items/{item}`, or `unknown`. */
  readonly route: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly userAgent: string;
  /** The header `X-Request-Id`, if there was one. */
  readonly requestId?: string;
  /** Absent while it is unanswered, and for good when a fault left it so. */
  readonly status?: number;
  /** Bytes that the connection took for the answer, its head included; present once the answer or the connection has ended. */
  readonly sent?: number;
  /** When that was: milliseconds since the epoch. */
  readonly endedAt?: number;
}

/** What was asked of the server. The `/dev` paths do not count. */
export interface RequestLog {
  /** In order of arrival; the oldest are dropped beyond 100,000. */
  readonly all: readonly LoggedRequest[];
  readonly total: number;
  /** The largest number of requests that were being answered at one time. */
  readonly peak: number;
  /** How many requests each route had. */
  counts(): Readonly<Record<string, number>>;
  /** How many requests one route had, such as `GET /v1/vaults`. */
  count(route: string): number;
  reset(): void;
}

/** The log, and how the server writes it: `begin` on arrival. */
export interface RequestRecorder extends RequestLog {
  begin(request: Omit<LoggedRequest, 'status' | 'sent' | 'endedAt'>): OpenRequest;
}

/** A request that is being answered. */
export interface OpenRequest {
  /** It has its answer, which is on its way from now on. */
  answer(status: number): void;
  /** Its answer is out, or its connection has ended, with or without one; `at` in milliseconds since the epoch. */
  end(sent: number, at: number): void;
}

const limit = 100_000;

export function createRequestLog(): RequestRecorder {
  let all: LoggedRequest[] = [];
  let total = 0;
  let active = 0;
  let peak = 0;
  let counts = new Map<string, number>();

  return {
    get all() {
      return all;
    },
    get total() {
      return total;
    },
    get peak() {
      return peak;
    },
    counts: () => Object.fromEntries(counts),
    count: (route) => counts.get(route) ?? 0,
    reset() {
      all = [];
      counts = new Map();
      total = 0;
      peak = active;
    },
    begin(request) {
      const entry: { -readonly [K in keyof LoggedRequest]: LoggedRequest[K] } = { ...request };
      all.push(entry);
      if (all.length >= limit * 2) all = all.slice(-limit);
      total += 1;
      active += 1;
      peak = Math.max(peak, active);
      counts.set(request.route, (counts.get(request.route) ?? 0) + 1);
      return {
        answer(status) {
          // Whoever gave up while the answer was delayed got none.
          if (entry.sent !== undefined) return;
          entry.status = status;
          active -= 1;
        },
        end(sent, at) {
          if (entry.status === undefined) active -= 1;
          entry.sent = sent;
          entry.endedAt = at;
        },
      };
    },
  };
}
