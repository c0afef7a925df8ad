import { isIP } from 'node:net';
import { getCACertificates } from 'node:tls';
import { type Agent, type buildConnector, Pool, ProxyAgent } from 'undici';
import { type AgentOptions, createWipingPool, telling } from './http-agent.ts';

export interface ProxyAgentOptions extends Omit<Agent.Options, 'connect' | 'factory'>, Pick<AgentOptions, 'onCertificate'> {
  /** URL of the proxy, `http:` or `https:`, with user and password when it asks for them. */
  readonly proxy: string;
  readonly connect: buildConnector.BuildOptions & { readonly ca?: string };
}

/**
 * The agent of `createAgent`, behind a proxy: an https origin is reached through a tunnel, which shows the proxy nothing but the name; a plain one by
 * requests that the proxy passes on. No bytes of an answer stay behind either way. User and password go to the proxy, and nowhere else.
 */
export function createProxyAgent({ proxy, connect, onCertificate, ...others }: ProxyAgentOptions): ProxyAgent {
  const { origin, username, password } = new URL(proxy);
  const { ca, ...tls } = connect;
  return new ProxyAgent({
    ...others,
    uri: origin,
    ...(username !== '' && { token: basicAuthorization(username, password) }),
    requestTls: connect,
    // The authority of the origin may be the proxy's too, and need not.
    proxyTls: { ...tls, ...(ca !== undefined && { ca: [...getCACertificates('default'), ca] }) },
    // Of what is passed on without a tunnel, undici hands over the connector alone.
    factory: (target, given: Pool.Options & { readonly connect: buildConnector.connector }) =>
      createWipingPool(target, { ...others, ...given, connect: telling(given.connect, onCertificate) }),
    // A proxy that never says whether there is a tunnel would be waited for by all who come after.
    clientFactory: (target, { connect: toProxy }: { readonly connect: buildConnector.connector }) =>
      new Pool(target, { ...others, connect: (to, done) => toProxy(withoutAddress(to), done) }),
  });
}

/** undici names the proxy to it by its address, too, where TLS allows nothing but a name. */
function withoutAddress({ servername, ...target }: buildConnector.Options): buildConnector.Options {
  return servername === undefined || isIP(servername) !== 0 ? target : { ...target, servername };
}

function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`;
}

/** What is no percent-encoding is taken as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
