import type { Dispatcher } from 'undici';
import { Failure } from '../api/reasons.ts';
import type { Clock } from '../runtime/clock.ts';
import { withDeadline } from '../runtime/deadline.ts';
import { transportCode } from '../runtime/transport.ts';
import { createConnectAgent, timeouts, transportCure } from './agent.ts';
import type { ConnectClientOptions } from './client.ts';
import { serverHealthSchema, type WireServerHealth } from './schema.ts';

/** What Connect says of itself to whoever asks: no token is sent. Both throw `Failure`: `ConnectUnavailable` or `ConnectProtocolError`. */
export interface ConnectProbe {
  heartbeat(signal: AbortSignal): Promise<Heartbeat>;
  health(signal: AbortSignal): Promise<WireServerHealth>;
  close(): Promise<void>;
}

export interface Heartbeat {
  /** How far Connect's clock is ahead of ours, in milliseconds; it tells whole seconds. Undefined when it does not tell. */
  readonly ahead: number | undefined;
  /** When its certificate expires, in milliseconds since the epoch; undefined for plain http. */
  readonly certificateExpiry: number | undefined;
}

export type ConnectProbeOptions = Pick<ConnectClientOptions, 'host' | 'userAgent' | 'clock' | 'ca' | 'proxy'>;

/** In bytes. */
const maxAnswer = 64 * 1024;

interface Answer {
  readonly text: string;
  readonly ahead: number | undefined;
}

export function createConnectProbe({ host, userAgent, clock, ca, proxy }: ConnectProbeOptions): ConnectProbe {
  const base = new URL(host.endsWith('/') ? host : `${host}/`);
  let certificateExpiry: number | undefined;
  const agent = createConnectAgent({ ca, proxy, connections: 2, onCertificate: (expiry) => (certificateExpiry = expiry) });

  async function get(path: 'heartbeat' | 'health', signal: AbortSignal): Promise<Answer> {
    try {
      return await withDeadline(clock, timeouts.whole, signal, async (within) => {
        const headers = { 'user-agent': userAgent };
        const response = await agent.request({
          origin: base.origin,
          path: `${base.pathname}${path}`,
          method: 'GET',
          headers,
          signal: within,
        });
        if (response.statusCode !== 200) {
          await response.body.dump({ limit: maxAnswer }).catch(() => {});
          throw unlikeConnect(path, `status ${response.statusCode}`);
        }
        return { text: await readText(response, path), ahead: aheadOf(clock, response.headers['date']) };
      });
    } catch (error) {
      if (error instanceof Failure || signal.aborted) throw error;
      const code = transportCode(error) ?? 'no answer';
      throw new Failure('ConnectUnavailable', `Connect could not be asked (${code}); ${transportCure(code, proxy !== undefined)}`);
    }
  }

  return {
    async heartbeat(signal) {
      const { text, ahead } = await get('heartbeat', signal);
      if (text.trim() !== '.') throw unlikeConnect('heartbeat', 'something else than a dot');
      return { ahead, certificateExpiry };
    },
    async health(signal) {
      const { text } = await get('health', signal);
      const result = serverHealthSchema.safeParse(parseJson(text));
      if (!result.success) throw unlikeConnect('health', 'something else than a list of dependencies');
      return result.data;
    },
    close: () => agent.destroy(),
  };
}

function unlikeConnect(path: string, what: string): Failure {
  return new Failure('ConnectProtocolError', `/${path} answers ${what}; check that OP_CONNECT_HOST is a Connect server`);
}

async function readText({ body }: Dispatcher.ResponseData, path: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maxAnswer) throw unlikeConnect(path, 'more than a Connect server says');
  }
  return text;
}

/** Undefined for what is no JSON: the parser's complaint quotes it. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The header tells whole seconds, so half of one is added. */
function aheadOf(clock: Clock, date: string | string[] | undefined): number | undefined {
  const time = typeof date === 'string' ? Date.parse(date) : Number.NaN;
  return Number.isNaN(time) ? undefined : time + 500 - clock.now();
}
