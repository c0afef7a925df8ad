import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseSeed, plantSeed, type Seed } from '../../../dev/connect-server/seed.ts';
import { createStore } from '../../../dev/connect-server/store.ts';
import { connectIdPattern } from '../../../src/connect/schema.ts';
import { seed } from './harness.ts';

function planted(given: Seed) {
  const store = createStore(() => 0);
  plantSeed(store, given);
  return store;
}

describe('a seed', () => {
  it('yields the same ids on every start', () => {
    const [first, second] = [planted(seed), planted(seed)];
    const vaultId = first.vault('Demo').id;
    expect(first.activeItems(vaultId)).toStrictEqual(second.activeItems(vaultId));
    expect(first.activeItems(vaultId).every(({ id }) => connectIdPattern.test(id))).toBe(true);
  });

  it('keeps ids that are given', () => {
    const store = planted({ vaults: [{ name: 'V', id: 'v'.repeat(26), items: [{ title: 'i', id: 'i'.repeat(26) }] }] });
    expect(store.findItem('v'.repeat(26), 'i'.repeat(26))?.title).toBe('i');
  });

  it('may hold two items of one title', () => {
    const store = planted({ vaults: [{ name: 'V', items: [{ title: 'twin' }, { title: 'twin' }] }] });
    expect(new Set(store.activeItems(store.vault('V').id).map(({ id }) => id)).size).toBe(2);
  });

  it('makes the sections that fields and files name', () => {
    const store = planted({
      vaults: [
        {
          name: 'V',
          items: [
            { title: 'i', sections: ['a'], fields: [{ label: 'f', section: 'b' }], files: [{ name: 'n', content: '', section: 'a' }] },
          ],
        },
      ],
    });
    const { sections, fields, files } = store.item('V', 'i');
    expect(sections.map(({ label }) => label)).toStrictEqual(['a', 'b']);
    expect([fields[0]?.section?.id, files[0]?.section?.id]).toStrictEqual([sections[1]?.id, sections[0]?.id]);
  });

  it('holds files as text or base64', () => {
    const files = [
      { name: 'a', content: 'ü' },
      { name: 'b', base64: 'AP8=' },
    ];
    const stored = planted({ vaults: [{ name: 'V', items: [{ title: 'i', files }] }] }).item('V', 'i').files;
    expect(stored.map(({ content }) => [...content])).toStrictEqual([
      [0xc3, 0xbc],
      [0, 0xff],
    ]);
  });

  it('may hold archived items', () => {
    const store = planted({ vaults: [{ name: 'V', items: [{ title: 'i', state: 'ARCHIVED' }] }] });
    expect([store.item('V', 'i').state, store.vault('V').items]).toStrictEqual(['ARCHIVED', 0]);
  });

  it('that comes with the server is valid and has what the demonstration needs', async () => {
    const store = planted(parseSeed(await readFile('dev/connect-server/seed.yaml', 'utf8')));
    expect(store.activeItems(store.vault('Demo').id).map(({ title }) => title)).toStrictEqual(['database', 'api-key', 'tls']);
    expect(store.item('Demo', 'tls').files.map(({ name }) => name)).toStrictEqual(['tls.crt', 'tls.key']);
    expect(store.vault('Other').items).toBe(1);
  });
});

describe('a seed that is not valid', () => {
  it.each([
    [
      'an unquoted number',
      'vaults: [{name: V, items: [{title: i, fields: [{label: port, value: 5432}]}]}]',
      'vaults[0].items[0].fields[0].value: a value has to be text; put it in quotes',
    ],
    ['a missing name', 'vaults: [{items: []}]', 'vaults[0].name: a vault name has to be text; put it in quotes'],
    ['a misspelt key', 'vaults: [{name: V, item: []}]', 'vaults[0]: Unrecognized key: "item"'],
    ['an unknown category', 'vaults: [{name: V, items: [{title: i, category: X}]}]', 'vaults[0].items[0].category: Invalid item category'],
    [
      'a file without content',
      'vaults: [{name: V, items: [{title: i, files: [{name: f}]}]}]',
      'vaults[0].items[0].files[0]: a file needs either content or base64',
    ],
    ['a malformed id', 'vaults: [{name: V, id: short}]', 'vaults[0].id: '],
    ['nothing', '', 'the top level: '],
  ])('names the place and the cure of %s', (_, yaml, message) => {
    expect(() => parseSeed(yaml, 'my.yaml')).toThrow(`my.yaml: ${message}`);
  });

  it('names the line of what is not YAML', () => {
    expect(() => parseSeed('vaults:\n  - name: "V', 'my.yaml')).toThrow(/^my\.yaml is not valid YAML: .* at line 2/s);
  });

  it('reports every problem at once', () => {
    expect(() => parseSeed('vaults: [{name: 1}, {name: 2}]')).toThrow(/vaults\[0\].*\n.*vaults\[1\]/);
  });
});
