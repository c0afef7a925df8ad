import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copiedMetadata, desiredMetadata } from '../../src/domain/copied-metadata.ts';
import { itemData, wantedFiles } from '../../src/domain/item-data.ts';
import { parseItemPath } from '../../src/domain/item-path.ts';
import { secretKey } from '../../src/domain/secret-key.ts';
import { SecretValue } from '../../src/domain/secret-value.ts';

const kubernetesKey = /^[-._a-zA-Z0-9]{1,253}$/;
const isAccepted = (key: string) => kubernetesKey.test(key) && key !== '.' && !key.startsWith('..');

/** Text that looks like labels: all of Unicode, and much of what is special in keys. */
const label = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ unit: fc.constantFrom('.', '..', '-', '_', ' ', 'é', 'a', 'Z', '9', '\n', '/'), maxLength: 300 }),
);

describe('keys', () => {
  it('are accepted by Kubernetes for any label, or empty, and the same every time', () => {
    fc.assert(
      fc.property(label, (text) => {
        const key = secretKey(text);
        expect(key === '' || isAccepted(key)).toBe(true);
        expect(secretKey(text)).toBe(key);
        expect(secretKey(key)).toBe(key);
      }),
      { numRuns: 500 },
    );
  });

  it('are the labels themselves where those are valid', () => {
    fc.assert(
      fc.property(fc.stringMatching(kubernetesKey).filter(isAccepted), (text) => {
        expect(secretKey(text)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the data of any item', () => {
  const value = fc.string({ maxLength: 5 }).map((text) => SecretValue.fromText(text));
  const item = fc.record({
    id: fc.constant('i'),
    vaultId: fc.constant('v'),
    version: fc.nat(),
    frozen: fc.boolean(),
    urls: fc.array(fc.record({ label, primary: fc.boolean(), value }), { maxLength: 4 }),
    fields: fc.array(fc.record({ label, type: fc.constantFrom('STRING', 'CONCEALED', 'OTP', 'NEW'), value }), { maxLength: 6 }),
    files: fc.array(fc.record({ id: fc.constant('f'), name: label, size: fc.nat(3) }), { maxLength: 4 }),
  });

  it('have valid keys, no empty value unless allowed, and collisions that name keys of theirs', () => {
    fc.assert(
      fc.property(item, fc.boolean(), (given, allowEmptyValues) => {
        const files = wantedFiles(given, { allowEmptyValues });
        const contents = new Map([...files.keys()].map((key) => [key, SecretValue.fromText('content')]));
        const { data, collisions } = itemData(given, contents, { allowEmptyValues });
        expect([...data.keys()].every(isAccepted)).toBe(true);
        expect(allowEmptyValues || data.values().every(({ isEmpty }) => !isEmpty)).toBe(true);
        expect(collisions.every((key) => data.has(key))).toBe(true);
        expect([...files.keys()].every((key) => data.get(key) === contents.get(key))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

it('a path gives back the vault and the item it was made of', () => {
  const name = fc.string({ unit: 'binary', minLength: 1 });
  fc.assert(
    fc.property(
      name.filter((vault) => !`${vault}/items/`.slice(0, -1).includes('/items/') && !vault.startsWith('items/')),
      name,
      (vault, item) => {
        expect(parseItemPath(`vaults/${vault}/items/${item}`)).toEqual({ vault, item });
      },
    ),
  );
});

describe('values', () => {
  it('come back from base64 byte for byte, and are equal only to themselves', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), fc.uint8Array({ maxLength: 50 }), (bytes, others) => {
        const value = SecretValue.fromBytes(bytes);
        expect(new Uint8Array(Buffer.from(value.exposeBase64(), 'base64'))).toEqual(new Uint8Array(bytes));
        expect(value.byteLength).toBe(bytes.length);
        expect(value.equals(SecretValue.fromBytes(others))).toBe(Buffer.compare(bytes, others) === 0);
      }),
    );
  });
});

const metadata = (prefix: string) =>
  fc.dictionary(
    fc.string({ minLength: 1, maxLength: 5 }).map((key) => `${prefix}${key}`),
    fc.string({ maxLength: 3 }),
  );

it("what was copied can be taken away again, and others' metadata is left as it was", () => {
  fc.assert(
    fc.property(
      metadata('theirs/'),
      metadata('theirs/'),
      metadata('ours/'),
      metadata('ours/'),
      (labels, annotations, copiedLabels, notes) => {
        const existing = { labels, annotations };
        const none = { labels: {}, annotations: {} };
        const copied = desiredMetadata(existing, copiedMetadata(copiedLabels, notes, true), none);
        expect(copied.labels).toEqual({ ...labels, ...copiedLabels });
        expect(desiredMetadata(copied, none, none)).toEqual(existing);
      },
    ),
  );
});
