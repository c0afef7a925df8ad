import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { HttpError } from './http-error.ts';
import { randomId } from './ids.ts';
import type { Store } from './store.ts';

/** What a token allows, and who is said to act with it. */
export interface Grant {
  readonly jti: string;
  readonly actorId: string;
  readonly account: string;
  /** `*` is every vault, those made later included. */
  readonly vaults: ReadonlySet<string> | '*';
  readonly write: boolean;
}

export interface TokenOptions {
  /** Ids or names; `*` for all, those made later included. */
  readonly vaults: readonly string[];
  /** Whether items may be made, changed and deleted; false unless it says otherwise. */
  readonly write?: boolean;
}

/** The tokens of one server. They die with it, since its key is made up at the start. */
export interface Tokens {
  /** A signed JWT. Throws StoreError when a vault does not exist. */
  issue(options: TokenOptions): string;
  /** From now on the token is answered with 401. One that was never issued is ignored. */
  revoke(token: string): void;
  /** A revoked token is good again, as after a mistake. One that was never revoked is ignored. */
  restore(token: string): void;
  /** The grant of an `Authorization` header, or an HttpError 401. */
  authenticate(authorization: string | undefined): Grant;
}

/** Makes the registry of tokens; `clock` gives milliseconds since the epoch. */
export function createTokens(store: Store, clock: () => number): Tokens {
  const key = randomBytes(32);
  const account = randomId().toUpperCase();
  const grants = new Map<string, Grant>();
  const revoked = new Map<string, Grant>();

  return {
    issue({ vaults, write = false }) {
      const scope = vaults.includes('*') ? '*' : new Set(vaults.map((vault) => store.vault(vault).id));
      const grant: Grant = { jti: randomId(), actorId: randomUUID(), account, vaults: scope, write };
      const token = sign(claimsOf(grant, clock()), key);
      grants.set(token, grant);
      return token;
    },

    revoke: (token) => move(token, grants, revoked),
    restore: (token) => move(token, revoked, grants),

    authenticate(authorization) {
      const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) throw new HttpError(401, 'Invalid bearer token');
      // Only what was issued here is known, so finding the whole token proves its signature.
      const grant = grants.get(token);
      if (grant === undefined) throw new HttpError(401, 'Invalid token signature');
      return grant;
    },
  };
}

/** Whether a grant reaches a vault. */
export function allows(grant: Grant, vaultId: string): boolean {
  return grant.vaults === '*' || grant.vaults.has(vaultId);
}

function move(token: string, from: Map<string, Grant>, to: Map<string, Grant>): void {
  const grant = from.get(token);
  if (grant === undefined) return;
  from.delete(token);
  to.set(token, grant);
}

function claimsOf(grant: Grant, now: number): object {
  return {
    iss: 'keyturn-dev-connect-server',
    aud: ['com.1password.connect'],
    sub: grant.actorId,
    jti: grant.jti,
    iat: Math.floor(now / 1000),
    vaults: grant.vaults === '*' ? ['*'] : [...grant.vaults],
    write: grant.write,
  };
}

function sign(claims: object, key: Buffer): string {
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
