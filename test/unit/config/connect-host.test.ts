import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Config, readConfig } from '../../../src/config.ts';
import { problemsOf as problemsIn } from '../../support/problems-of.ts';

const canary = 'canary-90aa';
const read = (host: string, environment: Readonly<Record<string, string>> = {}, flags: readonly string[] = []): Config =>
  readConfig({ OP_CONNECT_HOST: host, OP_CONNECT_TOKEN: 'token', ...environment }, flags);

const problemsOf = (run: () => unknown): readonly string[] => problemsIn(run, canary);

const caOf = (environment: Readonly<Record<string, string>>) => read('https://connect', environment).connectCa;

describe('a Connect server that is asked by plain http', () => {
  it.each([
    'http://localhost:8080',
    'http://connect.localhost',
    'http://127.0.0.1:8080',
    'http://127.9.9.9',
    'http://[::1]:8080',
    'http://onepassword-connect:8080',
    'http://connect.ops.svc:8080',
    'http://connect.ops.svc.cluster.local',
    'http://connect.ops.svc.cluster.local.:8080',
    'http://connect.pod.cluster.local',
    'https://connect.example.com',
    'https://10.0.0.1',
  ])('is no news on this machine or in the cluster: %s', (host) => {
    expect(read(host).warnings).toEqual([]);
    expect(read(host, {}, ['--require-connect-tls']).requireConnectTls).toBe(true);
  });

  it.each([
    'http://connect.example.com',
    'http://10.0.0.1:8080',
    'http://192.168.1.1',
    'http://[fd00::1]:8080',
    'http://connect.ops.svc.example.com',
    'http://mysvc.cluster.local.example.com',
    'http://localhost.example.com',
    'http://1270.0.example',
  ])('is one warning elsewhere, and refused where TLS is required: %s', (host) => {
    expect(read(host).warnings).toEqual([expect.stringMatching(/plain http outside of the cluster.*use https$/)]);
    expect(problemsOf(() => read(host, {}, ['--require-connect-tls']))).toEqual([
      expect.stringMatching(/use https, or unset --require-connect-tls$/),
    ]);
  });
});

describe('a Connect server in the cluster that is asked by plain http through a proxy', () => {
  const flags = ['--require-connect-tls'];

  it.each(['http://proxy:3128', 'proxy.ops.svc:3128', 'http://localhost:3128'])('is no news when that is in the cluster: %s', (proxy) => {
    expect(read('http://connect', { HTTP_PROXY: proxy }).warnings).toEqual([]);
    expect(read('http://connect', { HTTP_PROXY: proxy }, flags).connectProxy).toBeDefined();
  });

  it.each([`http://user:${canary}@proxy.example.com:3128`, 'https://proxy.example.com', '10.0.0.1:3128'])(
    'is one warning when that is elsewhere, and refused where TLS is required: %s',
    (proxy) => {
      expect(read('http://connect', { HTTP_PROXY: proxy }).warnings).toEqual([
        expect.stringMatching(/^.*plain http through the proxy.*NO_PROXY.*$/),
      ]);
      expect(problemsOf(() => read('http://connect', { HTTP_PROXY: proxy }, flags))).toEqual([
        expect.stringMatching(/NO_PROXY, or use https, or unset --require-connect-tls$/),
      ]);
      expect(read('http://connect', { HTTP_PROXY: proxy, NO_PROXY: 'connect' }, flags).warnings).toEqual([]);
    },
  );
});

describe('the proxy for Connect', () => {
  const proxy = `http://user:${canary}@proxy.example.com:3128`;

  it.each([
    ['https://connect.example.com', { HTTPS_PROXY: proxy }, `${proxy}/`],
    ['https://connect.example.com', { https_proxy: 'https://proxy:1' }, 'https://proxy:1/'],
    ['https://connect.example.com', { HTTPS_PROXY: 'first:1', https_proxy: 'second:2' }, 'http://first:1/'],
    ['https://connect.example.com', { HTTPS_PROXY: '', https_proxy: 'second:2' }, 'http://second:2/'],
    ['https://connect.example.com', { HTTP_PROXY: proxy }, undefined],
    ['http://connect', { HTTP_PROXY: 'proxy:3128' }, 'http://proxy:3128/'],
    ['http://connect', { http_proxy: 'proxy:3128' }, 'http://proxy:3128/'],
    ['http://connect', { HTTPS_PROXY: proxy }, undefined],
    ['https://localhost', { HTTPS_PROXY: proxy }, undefined],
    ['https://127.0.0.1:8443', { HTTPS_PROXY: proxy }, undefined],
    ['https://[::1]', { HTTPS_PROXY: proxy }, undefined],
    ['https://connect', {}, undefined],
  ])('%s with %j: %s', (host, environment, expected) => {
    expect(read(host, environment as Record<string, string>).connectProxy).toBe(expected);
  });

  it.each<[host: string, noProxy: string, exempt: boolean]>([
    ['connect.example.com', '*', true],
    ['connect.example.com', 'connect.example.com', true],
    ['connect.example.com', 'example.com', true],
    ['connect.example.com', ' other.com , EXAMPLE.com ', true],
    ['connect.example.com', 'other.com example.com', true],
    ['connect.example.com', '.example.com', true],
    ['connect.example.com', '*.example.com', true],
    ['connect.example.com', 'example.com.', true],
    ['connect.example.com.', 'example.com', true],
    ['example.com', '.example.com', false],
    ['example.com', '*.example.com', false],
    ['notexample.com', 'example.com', false],
    ['connect.example.com', 'connect', false],
    ['connect.example.com', 'example.com:443', true],
    ['connect.example.com:8443', 'example.com:8443', true],
    ['connect.example.com:8443', 'example.com:443', false],
    ['connect.example.com', '', false],
    ['connect.example.com', '.', false],
    ['connect.example.com', '*.', false],
    ['10.1.2.3', '10.1.2.3', true],
    ['10.1.2.3', '10.1.2.3:443', true],
    ['10.1.2.3', '10.1.2.3:80', false],
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['10.1.2.3', '10.0.0.0/33', false],
    ['10.1.2.3', '10.0.0.0/', false],
    ['10.1.2.3', '2.3', false],
    ['connect.example.com', '0.0.0.0/0', false],
    ['[fd00::1]', 'fd00:0::1', true],
    ['[fd00::1]', '[fd00::1]', true],
    ['[fd00::1]:8443', '[fd00::1]:8443', true],
    ['[fd00::1]:8443', '[fd00::1]:443', false],
    ['[fd00::1]', 'fd00::/8', true],
    ['[fe00::1]', 'fd00::/8', false],
  ])('https://%s with NO_PROXY %j is asked without: %s', (host, noProxy, exempt) => {
    const config = read(`https://${host}`, { HTTPS_PROXY: 'http://proxy', NO_PROXY: noProxy });
    expect(config.connectProxy === undefined).toBe(exempt);
    expect(read(`https://${host}`, { HTTPS_PROXY: 'http://proxy', no_proxy: noProxy }).connectProxy === undefined).toBe(exempt);
  });

  it.each([`socks5://user:${canary}@proxy`, `http://user:${canary}@`, `http://[${canary}`])('must be one of http: %s', (given) => {
    const problem = [expect.stringMatching(/^HTTPS_PROXY must be the URL of a proxy .*NO_PROXY/)];
    expect(problemsOf(() => read('https://connect.example.com', { HTTPS_PROXY: given }))).toEqual(problem);
    expect(read('https://connect.example.com', { HTTPS_PROXY: given, NO_PROXY: 'example.com' }).connectProxy).toBeUndefined();
  });
});

it('OP_CONNECT_CA_FILE wins over SSL_CERT_FILE, and a problem names the one that counts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-ca-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [mine, usual] = ['mine', 'usual'].map((name) => join(folder, name)) as [string, string];
  for (const file of [mine, usual]) writeFileSync(file, `-----BEGIN CERTIFICATE-----\n${file}`);
  expect(caOf({ SSL_CERT_FILE: usual })).toContain(usual);
  expect(caOf({ OP_CONNECT_CA_FILE: mine, SSL_CERT_FILE: usual })).toContain(mine);
  writeFileSync(mine, canary);
  expect(problemsOf(() => caOf({ OP_CONNECT_CA_FILE: mine, SSL_CERT_FILE: usual }))).toEqual([
    'OP_CONNECT_CA_FILE names a file without a certificate: give one in PEM, or unset it',
  ]);
});
