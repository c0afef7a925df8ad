import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copiedMetadata, desiredMetadata } from '../../src/domain/copied-metadata.ts';
import type { Item } from '../../src/domain/item.ts';
import { itemData, type ItemDataOptions, wantedFiles } from '../../src/domain/item-data.ts';
import { parseItemPath } from '../../src/domain/item-path.ts';
import { secretKey } from '../../src/domain/secret-key.ts';
import { type SecretData, SecretValue } from '../../src/domain/secret-value.ts';

const kubernetesKey = /^[-._a-zA-Z0-9]{1,253}$/;
const isAccepted = (key: string) => kubernetesKey.test(key) && key !== '.' && !key.startsWith('..');

/** Any code units: halves of signs too, which Unicode does not allow. */
const codeUnits = fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)), maxLength: 300 });
const specialInKeys = fc.string({
  unit: fc.constantFrom('.', '..', '-', '_', ' ', 'é', 'a', 'Z', '9', '\n', '/', '\ud83d'),
  maxLength: 300,
});
const huge = fc.tuple(fc.string({ unit: 'binary', maxLength: 20 }), fc.nat(5_000)).map(([text, times]) => text.repeat(times));
/** Few, so that urls, fields and files meet. */
const common = fc.constantFrom('a', 'b', 'a b', 'a-b', ' a', '..a', '__proto__', '');

/** Text that looks like labels: all of Unicode, much of what is special in keys, and what is far too long. */
const label = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), codeUnits, specialInKeys, huge, common);

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
  const type = fc.oneof(fc.constantFrom('STRING', 'CONCEALED', 'OTP', 'TOTP'), fc.string());
  const itemOf = (labels: fc.Arbitrary<string>) =>
    fc.record({
      id: fc.constant('i'),
      vaultId: fc.constant('v'),
      version: fc.nat(),
      frozen: fc.boolean(),
      urls: fc.array(fc.record({ label: labels, primary: fc.boolean(), value }), { maxLength: 4 }),
      fields: fc.array(fc.record({ label: labels, type, value }), { maxLength: 6 }),
      files: fc.array(fc.record({ id: fc.constant('f'), name: labels, size: fc.nat(3) }), { maxLength: 4 }),
    });
  const item = itemOf(label);
  const crowdedItem = itemOf(common);

  const content = SecretValue.fromText('content');
  /** What an item yields when every file holds `content`. */
  const yieldOf = (given: Item, options: ItemDataOptions) => {
    const files = wantedFiles(given, options);
    return { files, ...itemData(given, new Map([...files.keys()].map((key) => [key, content])), options) };
  };

  it('have valid keys, no empty value unless allowed, and collisions that name keys of theirs', () => {
    fc.assert(
      fc.property(item, fc.boolean(), (given, allowEmptyValues) => {
        const { files, data, collisions } = yieldOf(given, { allowEmptyValues });
        expect([...data.keys()].every(isAccepted)).toBe(true);
        expect(allowEmptyValues || data.values().every(({ isEmpty }) => !isEmpty)).toBe(true);
        expect(collisions.every((key) => data.has(key))).toBe(true);
        expect([...files.keys()].every((key) => data.get(key) === content)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('never give the key of a field to a url or a file, though somebody fetched it', () => {
    fc.assert(
      fc.property(crowdedItem, fc.boolean(), (given, allowEmptyValues) => {
        const wanting = given.fields.filter(({ type: kind, value: own }) => !/^T?OTP$/.test(kind) && (allowEmptyValues || !own.isEmpty));
        const lastOf = new Map(wanting.map(({ label: text, value: own }) => [secretKey(text), own]));
        lastOf.delete('');
        const contents = new Map([...lastOf.keys()].map((key) => [key, content]));
        const { data } = itemData(given, contents, { allowEmptyValues });
        expect([...lastOf].every(([key, own]) => data.get(key) === own)).toBe(true);
        expect(lastOf.keys().some((key) => wantedFiles(given, { allowEmptyValues }).has(key))).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('report as collisions exactly the keys that several fields of theirs want', () => {
    fc.assert(
      fc.property(crowdedItem, (given) => {
        const wanting = given.fields.filter(({ type: kind, value: own }) => !/^T?OTP$/.test(kind) && !own.isEmpty);
        const keys = wanting.map(({ label: text }) => secretKey(text)).filter((key) => key !== '');
        const shared = keys.filter((key, place) => keys.indexOf(key) !== place);
        expect(new Set(yieldOf(given, { allowEmptyValues: false }).collisions)).toEqual(new Set(shared));
      }),
      { numRuns: 500 },
    );
  });

  it('depend on the item and the options alone, whatever was asked before, and leave the item as it was', () => {
    fc.assert(
      fc.property(fc.oneof(item, crowdedItem), fc.oneof(item, crowdedItem), fc.boolean(), (given, other, allowEmptyValues) => {
        const first = yieldOf(frozen(given), { allowEmptyValues });
        yieldOf(other, { allowEmptyValues: !allowEmptyValues });
        yieldOf(given, { allowEmptyValues: !allowEmptyValues });
        const again = itemData(given, new Map([...first.files.keys()].map((key) => [key, content])), { allowEmptyValues });
        expect(shown(again.data)).toEqual(shown(first.data));
        expect(again.collisions).toEqual(first.collisions);
        const copy = {
          ...given,
          id: 'j',
          vaultId: 'w',
          version: 0,
          frozen: !given.frozen,
          files: given.files.map((file) => ({ ...file, id: 'g' })),
        };
        expect(shown(yieldOf(copy, { allowEmptyValues }).data)).toEqual(shown(first.data));
      }),
      { numRuns: 200 },
    );
  });
});

/** Values are compared in base64: as objects all of them are equal. */
function shown(data: SecretData) {
  return [...data].map(([key, value]) => [key, value.exposeBase64()]);
}

/** The same item, of which nothing can be changed any more. */
function frozen<T extends Item>(item: T): T {
  for (const parts of [item.urls, item.fields, item.files]) Object.freeze(parts).forEach(Object.freeze);
  return Object.freeze(item);
}

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
