import { readFileSync, statSync } from 'node:fs';
import { type TokenClaims, tokenClaims } from './token-claims.ts';

/** An access token that cannot be printed: JSON, templates, logs and the inspector show `[token]`. */
export class AccessToken {
  readonly #token: string;
  /** What it says of itself. */
  readonly claims: TokenClaims;

  constructor(token: string) {
    this.#token = token;
    this.claims = tokenClaims(token);
  }

  /** The name by which it may be told of. */
  get id(): string {
    return this.claims.id;
  }

  /** The token, for the header of a request to Connect and for nothing else. */
  expose(): string {
    return this.#token;
  }

  equals(other: AccessToken): boolean {
    return this.#token === other.#token;
  }

  toString(): string {
    return '[token]';
  }

  toJSON(): string {
    return '[token]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[token]';
  }
}

/** The token for Connect, which may change while the process runs. */
export interface ConnectToken {
  /** The last good one; undefined while there has been none. */
  readonly current: AccessToken | undefined;
  /** The name by which the present token may be told of: a JWT's `jti`, or `opaque`. */
  id(): string;
  /**
   * Looks whether there is another token by now; true when there is. One is taken at the second look that finds it, since a file may be half written;
   * at the first when there is none, or when the present one is that which was refused.
   */
  reload(refused?: AccessToken): boolean;
}

export interface ConnectTokenOptions {
  /** The token itself; not heeded when there is a file. */
  readonly token?: string;
  /** The path of the file that has it, alone; white space around it does not count. */
  readonly file?: string | undefined;
  /** A token was read, the first one or another than before. */
  readonly onLoaded?: (id: string, event: 'loaded' | 'changed') => void;
  /** The file has no token any more, in so many words; said once, until it has one again. */
  readonly onUnreadable?: (problem: string) => void;
}

/** In bytes. Headers of requests have to fit what servers take, 16 KiB as a rule. */
const maxSize = 16 * 1024;
/** What a header can carry. */
const tokenPattern = /^[\x21-\x7e]+$/;

/**
 * Keeps the token for Connect. A file is read whenever somebody asks, and not watched: what Kubernetes mounts changes by a link that is swapped
 * above it. A file that is gone, empty or no token leaves the last good one in use.
 */
export function createConnectToken({ token = '', file, onLoaded, onUnreadable }: ConnectTokenOptions): ConnectToken {
  let current: AccessToken | undefined;
  /** Found at the last look, and not in use yet. */
  let found: AccessToken | undefined;
  let lastRefused: AccessToken | undefined;
  let complained = false;

  function reload(refused = lastRefused): boolean {
    lastRefused = refused;
    const read = file === undefined ? { token } : readToken(file);
    if ('problem' in read) {
      if (!complained) onUnreadable?.(read.problem);
      complained = true;
      return false;
    }
    complained = false;
    const next = new AccessToken(read.token);
    const isSettled = found?.equals(next) ?? false;
    found = next;
    if (current?.equals(next)) return false;
    if (current !== undefined && !isSettled && !lastRefused?.equals(current)) return false;
    const event = current === undefined ? 'loaded' : 'changed';
    current = next;
    onLoaded?.(next.id, event);
    return true;
  }

  reload();
  return {
    get current() {
      return current;
    },
    id: () => current?.id ?? 'opaque',
    reload,
  };
}

function readToken(file: string): { readonly token: string } | { readonly problem: string } {
  try {
    const found = statSync(file);
    // A pipe would be waited for, and is empty the second time.
    if (!found.isFile()) return { problem: 'it is no regular file' };
    if (found.size > maxSize) return { problem: `it is larger than ${maxSize / 1024} KiB` };
    const token = readFileSync(file, 'utf8').trim();
    if (token === '') return { problem: 'it is empty' };
    return tokenPattern.test(token) ? { token } : { problem: 'it holds something other than one token, alone' };
  } catch {
    return { problem: 'it cannot be read' };
  }
}
