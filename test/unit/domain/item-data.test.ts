import { describe, expect, it } from 'vitest';
import type { ItemFile } from '../../../src/domain/item.ts';
import { filesSize, itemData, wantedFiles } from '../../../src/domain/item-data.ts';
import { SecretValue } from '../../../src/domain/secret-value.ts';
import { type ItemDataCase, itemDataCases, type Part } from './item-data-cases.ts';

const head = { id: 'i', vaultId: 'v', version: 1, frozen: false };

/** The id of a file is its place among the parts. */
function itemOf(parts: readonly Part[]) {
  return {
    ...head,
    urls: parts
      .filter((part) => part.kind === 'url')
      .map(({ label, primary, value }) => ({ label, primary, value: SecretValue.fromText(value) })),
    fields: parts
      .filter((part) => part.kind === 'field')
      .map(({ label, type, value }) => ({ label, type, value: SecretValue.fromText(value) })),
    files: parts.flatMap((part, place) => (part.kind === 'file' ? [{ id: String(place), name: part.label, size: part.size }] : [])),
  };
}

const text = (value: SecretValue): string => Buffer.from(value.exposeBase64(), 'base64').toString();

/** What the Secret holds in the end: the wanted files are fetched, as the operator does. */
function yieldOf({ item: parts, allowEmptyValues = false }: Pick<ItemDataCase, 'item' | 'allowEmptyValues'>) {
  const item = itemOf(parts);
  const wanted = wantedFiles(item, { allowEmptyValues });
  const contents = [...wanted].map(([key, { id }]) => [key, SecretValue.fromText(parts[Number(id)]?.value ?? '')] as const);
  const { data, collisions } = itemData(item, new Map(contents), { allowEmptyValues });
  return { data: new Map([...data].map(([key, value]) => [key, text(value)])), collisions, fetched: [...wanted.keys()] };
}

describe('the data of a Secret for an item', () => {
  it.each(itemDataCases)('$name', ({ data, collisions = [], fetched = [], ...given }) => {
    expect(yieldOf(given)).toStrictEqual({ data: new Map(Object.entries(data)), collisions, fetched });
  });

  it('has cases of different names, so that each can be told from the others', () => {
    expect(new Set(itemDataCases.map(({ name }) => name)).size).toBe(itemDataCases.length);
  });
});

const file = (size: number): ItemFile => ({ id: 'f', name: 'a', size });

describe('the size of the files to fetch', () => {
  it('is the sum of what Connect announces, in bytes', () => {
    expect(
      filesSize(
        new Map([
          ['a', file(1_048_575)],
          ['b', file(2)],
        ]),
      ),
    ).toBe(1_048_577);
  });

  it('is 0 without a file', () => {
    expect(filesSize(new Map())).toBe(0);
  });
});
