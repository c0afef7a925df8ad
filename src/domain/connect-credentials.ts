import { z } from 'zod';

/** How the credentials file of a Connect server can be wrong where it is handed to Connect by the variable `OP_SESSION`, with the cure. */
const cures = {
  empty: 'it is empty: put the content of 1password-credentials.json into the Secret, base64-encoded once',
  plain:
    'it is not base64-encoded, which Connect expects of it: encode the file once and make the Secret of that. What Kubernetes encodes under `data` does not count',
  twice:
    'it is base64-encoded twice: encode the file once. Under `stringData`, and with kubectl create secret, give the encoded text as it is; under `data`, and nowhere else, encode that once more for Kubernetes',
  other: 'it is no credentials file of a Connect server: download 1password-credentials.json anew, and encode it once',
};

const credentials = z.object({ verifier: z.object(), encCredentials: z.object() });

/**
 * What is wrong with a credentials file in the form that Connect takes from `OP_SESSION`: the JSON, base64-encoded once.
 * Nothing of it is quoted. Undefined: it is as it has to be.
 */
export function credentialsProblem(text: string): string | undefined {
  if (text.trim() === '') return cures.empty;
  if (isCredentials(text)) return cures.plain;
  const once = decode(text);
  if (once === undefined) return cures.other;
  if (isCredentials(once)) return undefined;
  const twice = decode(once);
  return twice !== undefined && isCredentials(twice) ? cures.twice : cures.other;
}

/** The text behind base64 of either alphabet, with line breaks or without; undefined when it is none. */
function decode(text: string): string | undefined {
  const compact = text.replaceAll(/\s/g, '');
  return /^[A-Za-z0-9+/_-]+={0,2}$/.test(compact) ? Buffer.from(compact, 'base64').toString() : undefined;
}

function isCredentials(text: string): boolean {
  try {
    return credentials.safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}
