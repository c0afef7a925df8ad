import type { ServerResponse } from 'node:http';
import type { Affliction } from './faults.ts';
import { jsonReply, type Reply } from './reply.ts';

type Fault = Affliction['fault'];

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
  return fault?.kind === 'hang' || (fault?.kind === 'reset' && fault.at !== 'body');
}

/** Does to the connection what a fault without an answer does: nothing for `hang`. */
export function withholdAnswer(response: ServerResponse, fault: Fault): void {
  if (fault?.kind === 'reset') response.socket?.resetAndDestroy();
}

/** Writes the answer, spoiled as the fault asks. */
export function send(response: ServerResponse, reply: Reply, fault: Fault): void {
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  const half = body.subarray(0, body.length / 2);
  if (fault?.kind === 'reset') sendPart(response, reply, body.length, half, () => response.socket?.resetAndDestroy());
  else if (fault?.kind === 'truncated') sendPart(response, reply, body.length, half, () => response.socket?.destroy());
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

/** Announces the whole length, and ends the connection once the part is on its way. */
function sendPart(response: ServerResponse, { status, headers }: Reply, length: number, part: Uint8Array, end: () => void): void {
  response.writeHead(status, { ...headers, 'Content-Length': length });
  response.write(part, end);
}
