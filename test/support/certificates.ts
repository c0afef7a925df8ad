import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A certificate and the key of it, both as PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

export interface CertificateOptions {
  /** Good until then; a day from now unless it says otherwise. */
  readonly until?: Date;
}

/** An authority that nobody trusts but who is given its `cert`. */
export interface CertificateAuthority {
  /** As PEM. */
  readonly cert: string;
  /** A certificate for a server of this DNS name or IPv4 address. */
  issue(host: string, options?: CertificateOptions): Certificate;
}

interface Subject {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Uint8Array[];
  readonly until: Date;
}

const day = 24 * 60 * 60 * 1000;

/** Makes a certificate authority: ECDSA over P-256, written as X.509 (RFC 5280), so that no other program is needed. */
export function createCertificateAuthority(name = 'Test authority'): CertificateAuthority {
  const { privateKey, publicKey } = newKeyPair();
  const certify = (subject: Subject): string => pem(signed(toBeSigned(name, subject), privateKey));
  return {
    cert: certify({ name, publicKey, extensions: [authorityExtension], until: new Date(Date.now() + day) }),
    issue(host, { until = new Date(Date.now() + day) } = {}) {
      const leaf = newKeyPair();
      const cert = certify({ name: host, publicKey: leaf.publicKey, extensions: [hostExtension(host)], until });
      return { cert, key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }) };
    },
  };
}

function newKeyPair(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  time: 0x17,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  address: 0x87,
};

/** Object identifiers, encoded. */
const ids = {
  ecdsaWithSha256: der(tags.objectId, Buffer.from('2a8648ce3d040302', 'hex')),
  commonName: der(tags.objectId, Buffer.from('550403', 'hex')),
  basicConstraints: der(tags.objectId, Buffer.from('551d13', 'hex')),
  subjectAltName: der(tags.objectId, Buffer.from('551d11', 'hex')),
};

const algorithm = der(tags.sequence, ids.ecdsaWithSha256);
const yes = der(tags.boolean, Buffer.from([0xff]));
const authorityExtension = der(tags.sequence, ids.basicConstraints, yes, der(tags.octetString, der(tags.sequence, yes)));

function hostExtension(host: string): Uint8Array {
  const name = isIPv4(host) ? der(tags.address, Buffer.from(host.split('.').map(Number))) : der(tags.dnsName, Buffer.from(host));
  return der(tags.sequence, ids.subjectAltName, der(tags.octetString, der(tags.sequence, name)));
}

function toBeSigned(issuer: string, { name, publicKey, extensions, until }: Subject): Uint8Array {
  const thirdVersion = der(tags.version, der(tags.integer, Buffer.from([2])));
  const serial = der(tags.integer, Buffer.concat([Buffer.from([1]), randomBytes(15)]));
  const validity = der(tags.sequence, time(new Date(until.getTime() - 2 * day)), time(until));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const all = der(tags.extensions, der(tags.sequence, ...extensions));
  return der(tags.sequence, thirdVersion, serial, algorithm, distinguishedName(issuer), validity, distinguishedName(name), key, all);
}

function signed(content: Uint8Array, key: KeyObject): Uint8Array {
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', content, key)]);
  return der(tags.sequence, content, algorithm, der(tags.bitString, signature));
}

function distinguishedName(name: string): Uint8Array {
  return der(tags.sequence, der(tags.set, der(tags.sequence, ids.commonName, der(tags.utf8String, Buffer.from(name)))));
}

/** `YYMMDDHHMMSSZ`. */
function time(at: Date): Uint8Array {
  return der(tags.time, Buffer.from(`${at.toISOString().slice(2, 19).replaceAll(/[-T:]/g, '')}Z`));
}

/** A value in DER: its tag, its length, its parts. */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pem(certificate: Uint8Array): string {
  const lines =
    Buffer.from(certificate)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
