import { createHash } from 'node:crypto';
import type { Clock } from '../runtime/clock.ts';
import { createSingleFlight } from '../runtime/single-flight.ts';
import type { KubeClient } from './client.ts';

/** What the API server says of a request: allowed, from nobody it knows, from somebody who may not; or it is asked too much already. */
export type Access = 'allowed' | 'unauthenticated' | 'forbidden' | 'busy';

export interface AccessReviewOptions {
  readonly kube: Pick<KubeClient, 'request'>;
  readonly clock: Clock;
  /** What is asked for, as a rule on `nonResourceURLs` grants it. */
  readonly path: string;
  readonly verb: string;
  /** The API server could not say, for the first time since it did. */
  readonly onFailure?: (error: unknown) => void;
}

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: readonly string[];
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    };
  };
}

interface SubjectAccessReview {
  readonly status?: { readonly allowed?: boolean };
}

interface Answer {
  readonly access: Access;
  readonly until: number;
}

/** How long an answer counts, in milliseconds: a right that was taken away is heeded after a minute, one that was given much sooner. */
const lifetimes = { allowed: 60_000, unauthenticated: 10_000, forbidden: 10_000 };
/** Of those that allowed, and of the others. */
const maxAnswers = 500;
/** Tokens under review at a time, beside those that were allowed before: whoever sends many must not keep the API server, or us, busy. */
const maxReviews = 8;
const timeout = 10_000;

/**
 * Asks the API server whose token a request has, and whether its owner may do what is asked. Of a token a digest is kept, and for a minute.
 * @returns a function of the header `Authorization`. @throws KubeError when the API server cannot say
 */
export function createAccessReview({
  kube,
  clock,
  path,
  verb,
  onFailure,
}: AccessReviewOptions): (authorization: string | undefined) => Promise<Access> {
  // Whoever sends one unknown token after the other must not make us forget who is allowed. By digest, the oldest first.
  const allowed = new Map<string, Answer>();
  const refused = new Map<string, Answer>();
  const flights = createSingleFlight<Access>();
  const underWay = new Set<string>();
  let failing = false;

  async function review(token: string): Promise<keyof typeof lifetimes> {
    const { status: found } = await ask<TokenReview>('authentication.k8s.io', 'TokenReview', { token });
    if (found?.authenticated !== true || found.user === undefined) return 'unauthenticated';
    const { username: user, uid, groups, extra } = found.user;
    const spec = { user, uid, groups, extra, nonResourceAttributes: { path, verb } };
    const { status: granted } = await ask<SubjectAccessReview>('authorization.k8s.io', 'SubjectAccessReview', spec);
    return granted?.allowed === true ? 'allowed' : 'forbidden';
  }

  function ask<T>(group: string, kind: string, spec: object): Promise<T> {
    const apiVersion = `${group}/v1`;
    return kube.request<T>({
      method: 'POST',
      path: `/apis/${apiVersion}/${kind.toLowerCase()}s`,
      body: { apiVersion, kind, spec },
      timeout,
    });
  }

  function keep(digest: string, access: keyof typeof lifetimes): void {
    const answers = access === 'allowed' ? allowed : refused;
    for (const map of [allowed, refused]) map.delete(digest);
    answers.set(digest, { access, until: clock.monotonic() + lifetimes[access] });
    if (answers.size <= maxAnswers) return;
    const [oldest = ''] = answers.keys();
    answers.delete(oldest);
  }

  return async (authorization) => {
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) return 'unauthenticated';
    const digest = createHash('sha256').update(token).digest('base64');
    const known = allowed.get(digest) ?? refused.get(digest);
    if (known !== undefined && clock.monotonic() < known.until) return known.access;
    if (!allowed.has(digest)) {
      if (!underWay.has(digest) && underWay.size >= maxReviews) return 'busy';
      underWay.add(digest);
    }
    return await flights(digest, async () => {
      try {
        const access = await review(token);
        keep(digest, access);
        failing = false;
        return access;
      } catch (error) {
        if (!failing) onFailure?.(error);
        failing = true;
        throw error;
      } finally {
        underWay.delete(digest);
      }
    });
  };
}
