import { Agent, request } from 'undici';

/** A status code and a parsed JSON body (undefined when the body is not JSON). */
export interface ApiResponse {
  readonly status: number;
  readonly body: unknown;
}

/** The few requests that starting a control plane needs, as its administrator. */
export interface Api {
  get(path: string): Promise<ApiResponse>;
  post(path: string, body: unknown): Promise<ApiResponse>;
  close(): Promise<void>;
}

/** Talks to the API server at `url`, verifying it against `ca`. Each request ends within 10 seconds. */
export function connectApi(url: string, ca: string, token: string): Api {
  const agent = new Agent({ connect: { ca }, headersTimeout: 10_000, bodyTimeout: 10_000 });
  const send = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<ApiResponse> => {
    const response = await request(url + path, {
      method,
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    return { status: response.statusCode, body: parse(await response.body.text()) };
  };
  return {
    get: (path) => send('GET', path),
    post: (path, body) => send('POST', path, body),
    close: () => agent.destroy(),
  };
}

/** Creates an object; one that exists already is fine. Throws on any other answer. */
export async function create(api: Api, path: string, body: unknown): Promise<unknown> {
  const answer = await api.post(path, body);
  if (answer.status === 409 || (answer.status >= 200 && answer.status < 300)) return answer.body;
  throw new Error(`POST ${path}: status ${answer.status}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
