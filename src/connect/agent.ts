import type { Dispatcher } from 'undici';
import { type AgentOptions, createAgent } from '../runtime/http-agent.ts';
import { createProxyAgent } from '../runtime/proxy-agent.ts';

/** How Connect is reached. */
export interface ConnectAgentOptions {
  /** Certificates to trust instead of the usual ones, in PEM. */
  readonly ca: string | undefined;
  /** URL of the proxy that leads to the server, with user and password when it asks for them. */
  readonly proxy: string | undefined;
  readonly connections: number;
  /** With every new connection: when Connect's certificate expires, in milliseconds since the epoch. */
  readonly onCertificate: AgentOptions['onCertificate'];
}

/** In milliseconds; `body` between two pieces of it, `whole` from the first byte sent to the last received. */
export const timeouts = { connect: 5_000, headers: 8_000, body: 8_000, whole: 60_000 };

/**
 * After so many requests a connection is replaced, about ten minutes of quiet looks: one that lasted for ever would show neither a certificate that
 * was renewed nor one that was not, nor where the name leads by now.
 */
const requestsPerConnection = 60;

/** Connections to Connect, through the proxy when there is one. */
export function createConnectAgent({ ca, proxy, connections, onCertificate }: ConnectAgentOptions): Dispatcher {
  const settings = {
    // A session that is resumed shows no certificate.
    connect: { timeout: timeouts.connect, rejectUnauthorized: true, allowH2: false, maxCachedSessions: 0, ...(ca !== undefined && { ca }) },
    connections,
    allowH2: false,
    headersTimeout: timeouts.headers,
    bodyTimeout: timeouts.body,
    keepAliveTimeout: 30_000,
    maxRequestsPerClient: requestsPerConnection,
    onCertificate,
  };
  return proxy === undefined ? createAgent(settings) : createProxyAgent({ ...settings, proxy });
}

/** What to do when Connect could not be asked. @param code of a transport error */
export function transportCure(code: string, proxied: boolean): string {
  if (/CERT|SIGNED|SIGNATURE/.test(code)) return "check Connect's certificate, and name the file of its CA in SSL_CERT_FILE";
  return proxied
    ? 'check OP_CONNECT_HOST, and that the proxy of HTTPS_PROXY lets it through, or name the host in NO_PROXY'
    : 'check OP_CONNECT_HOST, the network and its policies';
}
