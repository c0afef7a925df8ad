import { z } from 'zod';

const claimsSchema = z.object({ jti: z.string().regex(/^[\w.:-]{1,128}$/) });

/** The id of an access token: the claim `jti` of a JWT, by which Connect's own activity log names it too. `opaque` for any other token. */
export function tokenId(token: string): string {
  const [, claims, signature, ...more] = token.split('.');
  if (claims === undefined || signature === undefined || more.length > 0) return 'opaque';
  const parsed = claimsSchema.safeParse(parseJson(Buffer.from(claims, 'base64url').toString()));
  return parsed.success ? parsed.data.jti : 'opaque';
}

/** What JSON.parse says quotes its input, and is dropped. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
