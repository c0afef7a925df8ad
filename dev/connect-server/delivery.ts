import type { ServerResponse } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import type { Affliction } from './faults.ts';
import { resetConnection } from './http-server.ts';
import { jsonReply, type Reply } from './reply.ts';

type Fault = Affliction['fault'];
type Huge = Extract<Fault, { kind: 'huge' }>;

const blanks = Buffer.alloc(64 * 1024, ' ');

/** The answer that a fault gives in the API's place, if it does. */
export function replyInstead(fault: Fault): Reply | undefined {
  if (fault?.kind === 'redirect') return { status: 302, headers: { Location: fault.location }, body: '' };
  if (fault?.kind !== 'status') return undefined;
  const { status, body = { status, message: 'This error was ordered' }, contentType, retryAfter } = fault;
  const reply = jsonReply(status, body);
  return {
    ...reply,
    headers: {
      'Content-Type': contentType ?? 'application/json',
      ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
    },
    body: typeof body === 'string' ? body : reply.body,
  };
}

/** Whether the fault leaves the request without any answer. */
export function givesNoAnswer(fault: Fault): boolean {
  return (fault?.kind === 'hang' || fault?.kind === 'reset') && fault.at !== 'body';
}

/** Does to the connection what a fault without an answer does: nothing for `hang`. */
export function withholdAnswer(response: ServerResponse, fault: Fault): void {
  if (fault?.kind === 'reset') resetConnection(response);
}

/** Writes the answer, spoiled as the fault asks. */
export function send(response: ServerResponse, reply: Reply, fault: Fault): void {
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  const half = body.subarray(0, body.length / 2);
  if (fault?.kind === 'reset') sendPart(response, reply, body.length, half, () => resetConnection(response));
  else if (fault?.kind === 'hang') sendPart(response, reply, body.length, half, () => {});
  else if (fault?.kind === 'truncated') sendPart(response, reply, body.length, half, () => response.socket?.destroy());
  else if (fault?.kind === 'huge') sendPadded(response, reply, body, fault);
  else if (fault?.kind === 'malformed') sendWhole(response, reply, half);
  else if (fault?.kind === 'content-type') sendWhole(response, withContentType(reply, fault.contentType), body);
  else sendWhole(response, reply, body);
}

function withContentType(reply: Reply, contentType: string): Reply {
  return { ...reply, headers: { ...reply.headers, 'Content-Type': contentType } };
}

function sendWhole(response: ServerResponse, { status, headers }: Reply, body: Uint8Array): void {
  if (status === 204 || status === 304) response.writeHead(status, headers).end();
  else response.writeHead(status, { ...headers, 'Content-Length': body.length }).end(body);
}

/** The body and then blanks, as fast as the client takes them. */
function sendPadded(response: ServerResponse, { status, headers }: Reply, body: Uint8Array, { bytes, contentLength = true }: Huge): void {
  const total = Math.max(bytes, body.length);
  response.writeHead(status, contentLength ? { ...headers, 'Content-Length': total } : headers);
  // A client that has had enough ends the connection, and that is no failure.
  pipeline(Readable.from(padded(body, total)), response, () => {});
}

function* padded(body: Uint8Array, total: number): Generator<Uint8Array> {
  yield body;
  for (let left = total - body.length; left > 0; left -= blanks.length) yield blanks.subarray(0, left);
}

/** Announces the whole length, and does `end` to the connection once the part is on its way. */
function sendPart(response: ServerResponse, { status, headers }: Reply, length: number, part: Uint8Array, end: () => void): void {
  response.writeHead(status, { ...headers, 'Content-Length': length });
  response.write(part, end);
}
