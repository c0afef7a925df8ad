import type { HttpError } from './http-error.ts';

/** What a handler answers. The server writes it, and an ordered fault may change it on the way out. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** The item the answer is about, for the activity trail. */
  readonly item?: { readonly id: string; readonly version: number };
}

const jsonHeaders = { 'Content-Type': 'application/json' };

/** A JSON answer. A `Uint8Array` is JSON that is serialised already. */
export function jsonReply(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  const body = value instanceof Uint8Array ? value : JSON.stringify(value);
  return { status, headers: { ...jsonHeaders, ...headers }, body };
}

/** A plain text answer with status 200. */
export function textReply(body: string, contentType = 'text/plain; charset=utf-8'): Reply {
  return { status: 200, headers: { 'Content-Type': contentType }, body };
}

/** The answer for an error of the API. */
export function errorReply(error: HttpError): Reply {
  return jsonReply(error.status, { status: error.status, message: error.message }, error.headers);
}
