import { BlockList, isIP } from 'node:net';
import { hostOf, isAddressIn, isLoopback } from './host.ts';

export interface ProxyVariables {
  readonly httpsProxy: string | undefined;
  readonly httpProxy: string | undefined;
  readonly noProxy: string | undefined;
}

/** The proxy for `target`; undefined for none. @returns a problem without a word of the URL, which may hold a password */
export function proxyFor(
  target: URL,
  { httpsProxy, httpProxy, noProxy = '' }: ProxyVariables,
): { readonly proxy: string | undefined } | { readonly problem: string } {
  const [given, name] = target.protocol === 'https:' ? [httpsProxy, 'HTTPS_PROXY'] : [httpProxy, 'HTTP_PROXY'];
  if (given === undefined || isLoopback(hostOf(target)) || isExempt(target, noProxy)) return { proxy: undefined };
  const url = URL.parse(given.includes('://') ? given : `http://${given}`);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    return { problem: `${name} must be the URL of a proxy that begins with http:// or https://, or NO_PROXY must name the Connect server` };
  }
  return { proxy: url.href };
}

/**
 * Whether NO_PROXY takes a host out, as Go and curl read it: `*`, addresses, networks, names with all that is below them, `.name` and `*.name`
 * for what is below alone; a port makes an entry count for that port.
 */
function isExempt(target: URL, noProxy: string): boolean {
  const host = hostOf(target);
  const port = target.port === '' ? (target.protocol === 'https:' ? '443' : '80') : target.port;
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInNetwork(entry, host);
  if (isIP(entry) !== 0) return isSameAddress(entry, host);
  const [, wanted = '', entryPort] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(entry) ?? [];
  if (entryPort !== undefined && entryPort !== port) return false;
  if (isIP(wanted) !== 0) return isSameAddress(wanted, host);
  if (isIP(host) !== 0) return false;
  const name = wanted.replace(/^\*\./, '.').replace(/\.$/, '');
  if (name === '' || name === '.') return false;
  return name.startsWith('.') ? host.endsWith(name) : host === name || host.endsWith(`.${name}`);
}

function isInNetwork(entry: string, host: string): boolean {
  const [network = '', prefix = ''] = entry.split('/', 2);
  const family = isIP(network);
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (family === 0 || bits < 0 || bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, bits, family === 4 ? 'ipv4' : 'ipv6');
  return isAddressIn(list, host);
}

function isSameAddress(wanted: string, host: string): boolean {
  const list = new BlockList();
  list.addAddress(wanted, isIP(wanted) === 4 ? 'ipv4' : 'ipv6');
  return isAddressIn(list, host);
}
