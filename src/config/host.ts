import { BlockList, isIP } from 'node:net';

/** Addresses of this machine. */
const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** The host of a URL as it may be compared: without brackets and without the dot at the end. */
export function hostOf({ hostname }: URL): string {
  return hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || isAddressIn(loopback, host);
}

/** Names that only the cluster's own DNS knows. */
export function isInCluster(host: string): boolean {
  if (isIP(host) !== 0) return false;
  return !host.includes('.') || host.endsWith('.svc') || host.endsWith('.cluster.local');
}

/** False for what is no address. */
export function isAddressIn(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
