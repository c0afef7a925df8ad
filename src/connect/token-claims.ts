/** What a token says of itself. Nobody has proved it: it is for people to read, and decides nothing. */
export interface TokenClaims {
  /** The `jti`, or `opaque` when there is none that can be shown. */
  readonly id: string;
  /** Milliseconds since the epoch; undefined when it does not expire, or does not say. */
  readonly expiry: number | undefined;
  /** For instance `vaultaccess`; undefined when it does not say. */
  readonly features: readonly string[] | undefined;
  /** How many vaults it is for; undefined when it does not say. */
  readonly vaults: number | undefined;
}

/** What can stand in a log and an audit record as it is, and is no token itself. */
const plainWord = /^[\w.-]{1,64}$/;

/** Reads a JWT without its signature. Of the claims of 1Password's own, which it documents nowhere, only what has the usual form is taken. */
export function tokenClaims(token: string): TokenClaims {
  const claims = payloadOf(token);
  const { jti, exp, '1password.com/fts': features, '1password.com/vts': vaults } = claims;
  return {
    id: isPlain(jti) ? jti : 'opaque',
    expiry: typeof exp === 'number' ? exp * 1000 : undefined,
    features: Array.isArray(features) ? features.filter(isPlain) : undefined,
    vaults: Array.isArray(vaults) ? vaults.length : undefined,
  };
}

function isPlain(value: unknown): value is string {
  return typeof value === 'string' && plainWord.test(value);
}

function payloadOf(token: string): Readonly<Record<string, unknown>> {
  const [, payload, signature, ...more] = token.split('.');
  if (payload === undefined || signature === undefined || more.length > 0) return {};
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    return typeof claims === 'object' && claims !== null ? (claims as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
