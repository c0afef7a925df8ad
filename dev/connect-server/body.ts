import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { HttpError } from './http-error.ts';

/** Bytes; more is answered with 413. */
export const bodyLimit = 8 * 1024 * 1024;

/**
 * Reads a JSON body and checks it. What is wrong is named by its place, and no part of the body is quoted.
 * @throws HttpError 400 for what is not JSON or does not fit, 413 for what is too large
 */
export async function readBody<S extends z.ZodType>(request: IncomingMessage, schema: S): Promise<z.output<S>> {
  const parsed = schema.safeParse(parseJson(await readText(request)));
  if (parsed.success) return parsed.data;
  throw new HttpError(400, describe(parsed.error));
}

/** Says in one line what a body lacks. */
export function describe(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length === 0 ? issue.message : `${z.core.toDotPath(issue.path)}: ${issue.message}`))
    .join('; ');
}

/** A body over the limit is read to its end and dropped, so that the client gets to read the answer. */
async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= bodyLimit) chunks.push(chunk);
  }
  if (size > bodyLimit) throw new HttpError(413, `The request is larger than ${bodyLimit} bytes`);
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, 'The request body is not valid JSON');
  }
}
