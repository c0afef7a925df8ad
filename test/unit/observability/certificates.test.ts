import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'node:https';
import { connect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CertificateError, readCertificate, watchCertificate } from '../../../src/observability/certificate-files.ts';
import { type Access, authorized, type KeyPair, listen } from '../../../src/observability/http.ts';
import { selfSignedCertificate } from '../../../src/observability/self-signed-certificate.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const now = Date.UTC(2026, 0, 1);
const scrape = async () => ({ status: 200, contentType: 'text/plain', body: 'metrics' });

describe('the certificate made at the start', () => {
  it('is one for localhost, signed by its own key, good for ten years', () => {
    const { cert, key } = selfSignedCertificate(now);
    const certificate = new X509Certificate(cert);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect([certificate.subject, certificate.issuer, certificate.subjectAltName]).toEqual([
      'CN=keyturn',
      'CN=keyturn',
      'DNS:localhost, IP Address:127.0.0.1',
    ]);
    expect([certificate.validFromDate, certificate.validToDate]).toEqual([
      new Date(Date.UTC(2025, 11, 31)),
      new Date(Date.UTC(2035, 11, 30)),
    ]);
    expect(key).toContain('PRIVATE KEY');
  });

  it('is another one each time', () => {
    const [one, two] = [selfSignedCertificate(now), selfSignedCertificate(now)].map(({ cert }) => new X509Certificate(cert).serialNumber);
    expect(one).not.toBe(two);
  });

  it('has a time that can be read, beyond 2049 too', () => {
    expect(new X509Certificate(selfSignedCertificate(Date.UTC(2045, 5, 1)).cert).validToDate.getUTCFullYear()).toBe(2055);
  });
});

function folder(pair?: KeyPair) {
  const path = mkdtempSync(join(tmpdir(), 'keyturn-certificates-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  const files = { certFile: join(path, 'tls.crt'), keyFile: join(path, 'tls.key') };
  const write = ({ cert, key }: KeyPair): void => {
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
  };
  if (pair !== undefined) write(pair);
  return { files, write };
}

describe('the files of a certificate', () => {
  const [one, two] = [selfSignedCertificate(now), selfSignedCertificate(now)];

  it('are refused with the cure when they are not there, do not fit, or hold something else, and are never quoted', () => {
    for (const { files } of [folder(), folder({ ...one, key: two.key }), folder({ cert: 'canary', key: 'canary' })]) {
      expect(() => readCertificate(files)).toThrow(CertificateError);
      expect(() => readCertificate(files)).toThrow(/^(?!.*canary).*--metrics-cert-path/);
    }
    expect(readCertificate(folder(one).files)).toEqual(one);
  });

  it('are read again: a new pair is served, half of one is not, and is said once', () => {
    const clock = createFakeClock();
    const { files, write } = folder(one);
    const told: (KeyPair | string)[] = [];
    const stop = watchCertificate({ files, clock, onChange: (pair) => told.push(pair), onFailure: ({ name }) => told.push(name) }, one);
    clock.advance(60_000);
    expect(told).toEqual([]);
    write({ ...two, key: one.key });
    clock.advance(60_000);
    write(two);
    clock.advance(60_000);
    expect(told).toEqual(['CertificateError', two]);
    stop();
    expect(clock.timers).toEqual([]);
  });
});

/** Scrapes over a new connection that trusts nobody but whom it is told to. */
function get(
  port: number,
  ca: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; serial: string; body: string }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/metrics', ca, headers, agent: false }, (response) => {
      const serial = (response.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? '';
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, serial, body }));
    })
      .on('error', reject)
      .end();
  });
}

describe('metrics over TLS', () => {
  it('are served with the certificate of the moment', async () => {
    const [one, two] = [selfSignedCertificate(Date.now()), selfSignedCertificate(Date.now())];
    const listener = await listen('--x', { host: '127.0.0.1', port: 0 }, { '/metrics': scrape }, one);
    onTestFinished(() => listener.close());
    expect(await get(listener.port, one.cert)).toMatchObject({ status: 200, body: 'metrics' });
    listener.renew(two);
    expect((await get(listener.port, two.cert)).serial).toBe(new X509Certificate(two.cert).serialNumber);
    await expect(get(listener.port, one.cert)).rejects.toThrow(/certificate/);
    await expect(fetch(`http://127.0.0.1:${listener.port}/metrics`)).rejects.toThrow('fetch failed');
  });

  it.each<[Access, number, string]>([
    ['allowed', 200, 'metrics'],
    ['unauthenticated', 401, 'Unauthorized'],
    ['forbidden', 403, 'Forbidden'],
    ['busy', 503, 'too many reviews of access at a time'],
  ])('are for those who may read them: %s', async (access, status, body) => {
    const pair = selfSignedCertificate(Date.now());
    const headers: (string | undefined)[] = [];
    const review = async (header: string | undefined): Promise<Access> => {
      headers.push(header);
      return access;
    };
    const listener = await listen('--x', { host: '127.0.0.1', port: 0 }, { '/metrics': authorized(scrape, review) }, pair);
    onTestFinished(() => listener.close());
    expect(await get(listener.port, pair.cert, { authorization: 'Bearer t' })).toMatchObject({ status, body });
    expect(headers).toEqual(['Bearer t']);
  });

  it('end at once, whoever has yet to shake hands', async () => {
    const pair = selfSignedCertificate(Date.now());
    const listener = await listen('--x', { host: '127.0.0.1', port: 0 }, { '/metrics': scrape }, pair);
    const silent = connect(listener.port, '127.0.0.1');
    const closed = once(silent, 'close');
    await once(silent, 'connect');
    // Who came before has been let in.
    await get(listener.port, pair.cert);
    await listener.close();
    expect(await closed).toEqual([false]);
  });

  it('are for nobody when the review fails', async () => {
    const pair = selfSignedCertificate(Date.now());
    const failing = authorized(scrape, () => Promise.reject(new Error('canary')));
    const listener = await listen('--x', { host: '127.0.0.1', port: 0 }, { '/metrics': failing }, pair);
    onTestFinished(() => listener.close());
    expect(await get(listener.port, pair.cert)).toMatchObject({ status: 500, body: '' });
  });
});
