import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyPair } from './http.ts';

const day = 24 * 60 * 60 * 1000;
/** Longer than a process lives: nobody can verify it anyway. */
const lifetime = 3_650 * day;

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  dnsName: 0x82,
  address: 0x87,
  version: 0xa0,
  extensions: 0xa3,
} as const;

/** Object identifiers with their tag, in DER. */
const identifiers = {
  ecdsaWithSha256: Buffer.from('06082a8648ce3d040302', 'hex'),
  commonName: Buffer.from('0603550403', 'hex'),
  subjectAltName: Buffer.from('0603551d11', 'hex'),
};

/**
 * A new key (ECDSA, P-256) and a certificate (X.509, RFC 5280) that it signed for `localhost`: enough to keep a token from being read on its
 * way, for who does not ask whom it is sent to.
 * @param now milliseconds since the epoch
 */
export function selfSignedCertificate(now: number): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(tags.sequence, identifiers.ecdsaWithSha256);
  const name = der(tags.sequence, der(tags.set, der(tags.sequence, identifiers.commonName, der(tags.utf8String, Buffer.from('keyturn')))));
  const hosts = der(tags.sequence, der(tags.dnsName, Buffer.from('localhost')), der(tags.address, Buffer.from([127, 0, 0, 1])));
  const content = der(
    tags.sequence,
    der(tags.version, der(tags.integer, Buffer.from([2]))),
    // Begins with a byte that makes it positive and as long as can be.
    der(tags.integer, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    der(tags.sequence, time(now - day), time(now + lifetime)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(tags.extensions, der(tags.sequence, der(tags.sequence, identifiers.subjectAltName, der(tags.octetString, hosts)))),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', content, privateKey)]);
  const certificate = Buffer.from(der(tags.sequence, content, algorithm, der(tags.bitString, signature)));
  return { cert: pem(certificate), key: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
}

/** `YYMMDDHHMMSSZ` until 2049, from then on with a year of four digits. */
function time(at: number): Uint8Array {
  const text = `${new Date(at).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z`;
  return text < '2050' ? der(tags.utcTime, Buffer.from(text.slice(2))) : der(tags.generalizedTime, Buffer.from(text));
}

/** A value in DER: its tag, its length, its parts. */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
