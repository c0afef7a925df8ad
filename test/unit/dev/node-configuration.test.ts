import { describe, expect, it } from 'vitest';
import { nodeName } from '../../../dev/control-plane/credentials.ts';
import { apiServerFlags, type Layout } from '../../../dev/control-plane/flags.ts';
import { containerdConfiguration, kubeletConfiguration, kubeletFlags, proxyConfiguration } from '../../../dev/node/configuration.ts';
import { localImage } from '../../../dev/node/local-image.ts';
import { nodeFolder, places, runtimeFolder } from '../../../dev/node/places.ts';

describe('the API server', () => {
  const layout: Layout = {
    directory: '/d',
    address: '10.244.0.1',
    apiPort: 1,
    etcdPort: 2,
    peerPort: 3,
    serviceAccountKey: '/d/key',
    serviceAccountPublicKey: '/d/pub',
    tokenFile: '/d/tokens',
    certDir: '/d/certs',
    caFile: '/d/ca',
  };
  const options = { hasControllerManager: true, audit: undefined };

  it('is reached by the pods of a real node, and knows the kubelet as a node', () => {
    const flags = apiServerFlags(layout, { ...options, kubeletClient: { certFile: '/d/client.crt', keyFile: '/d/client.key' } });
    expect(flags).toEqual(expect.arrayContaining(['--bind-address=10.244.0.1', '--authorization-mode=Node,RBAC']));
    expect(flags).toContain('--kubelet-client-certificate=/d/client.crt');
    expect(flags).not.toContain('--endpoint-reconciler-type=none');
  });

  it('is on loopback, and has no node to speak to, where pods are simulated', () => {
    const flags = apiServerFlags({ ...layout, address: '127.0.0.1' }, { ...options, kubeletClient: undefined });
    expect(flags).toEqual(
      expect.arrayContaining(['--bind-address=127.0.0.1', '--authorization-mode=RBAC', '--endpoint-reconciler-type=none']),
    );
    expect(flags.filter((flag) => flag.startsWith('--kubelet'))).toEqual([]);
  });
});

describe('the kubelet', () => {
  it('serves the API server and nobody else, and leaves the iptables of the machine alone', () => {
    expect(kubeletConfiguration({ port: 1, clientCaFile: '/d/client.crt' })).toMatchObject({
      authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: '/d/client.crt' } },
      makeIPTablesUtilChains: false,
      failCgroupV1: false,
    });
  });

  it('has the name that its token speaks for', () => {
    expect(kubeletFlags({ configFile: '/c', kubeconfig: '/k' })).toContain(`--hostname-override=${nodeName}`);
  });
});

it('kube-proxy changes no setting of connection tracking', () => {
  expect(proxyConfiguration({ health: 1, metrics: 2 }, '/k')).toMatchObject({
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  });
});

it('containerd keeps everything in the folders of the node, and makes pods of the local image', () => {
  const text = containerdConfiguration();
  const paths = [...text.matchAll(/"(\/[^"]+)"/g)].map(([, path = '']) => path).filter((path) => path !== '/usr/lib/cni');
  expect(paths.length).toBeGreaterThan(4);
  expect(paths.filter((path) => !path.startsWith(`${nodeFolder}/`) && !path.startsWith(`${runtimeFolder}/`))).toEqual([]);
  expect(text).toContain(`sandbox_image = "${localImage}"`);
});

it('the sockets of containerd have short paths, wherever the repository is', () => {
  expect(places.containerdSocket.length).toBeLessThan(60);
});
