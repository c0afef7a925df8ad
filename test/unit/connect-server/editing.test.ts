import { describe, expect, it } from 'vitest';
import { itemSchema, itemSummaryListSchema, vaultSchema } from '../../../src/connect/schema.ts';
import { bodyLimit } from '../../../dev/connect-server/body.ts';
import { manualClock, type Running, startServer } from './harness.ts';

async function versions(server: Running, title: string) {
  const vault = await server.read(vaultSchema, server.path('Demo'));
  const item = await server.read(itemSchema, server.path('Demo', title));
  return { content: vault.contentVersion, attributes: vault.attributeVersion, item: item.version, updatedAt: item.updatedAt };
}

async function patch(operations: unknown) {
  const server = await startServer();
  return server.write(itemSchema, 'PATCH', server.path('Demo', 'database'), operations);
}

const itemFor = (server: Running, rest: object = {}) => ({
  vault: { id: server.store.vault('Demo').id },
  title: 'new',
  category: 'LOGIN',
  ...rest,
});

describe('versions', () => {
  it('an edit moves the item version and the content version by one, and updatedAt to now', async () => {
    const clock = manualClock();
    const server = await startServer({ clock: clock.now });
    const before = await versions(server, 'database');
    clock.advance(5000);
    server.store.setField('Demo', 'database', 'password', 'second');
    expect(await versions(server, 'database')).toStrictEqual({
      content: before.content + 1,
      attributes: before.attributes,
      item: before.item + 1,
      updatedAt: new Date(clock.now()).toISOString(),
    });
  });

  it('creating and deleting move the content version, and no other item', async () => {
    const server = await startServer();
    const before = await versions(server, 'database');
    server.store.createItem('Demo', { title: 'new' });
    server.store.deleteItem('Demo', 'new');
    expect(await versions(server, 'database')).toStrictEqual({ ...before, content: before.content + 2 });
  });

  it('a renamed vault moves its attribute version alone', async () => {
    const server = await startServer();
    const before = server.store.vault('Demo');
    const after = server.store.renameVault('Demo', 'Renamed');
    expect([after.name, after.attributeVersion, after.contentVersion]).toStrictEqual([
      'Renamed',
      before.attributeVersion + 1,
      before.contentVersion,
    ]);
  });

  it('a version can be set, as by a restored backup', async () => {
    const server = await startServer();
    server.store.updateItem('Demo', 'database', { version: 7 });
    server.store.updateItem('Demo', 'database', { version: 3 });
    expect((await server.read(itemSchema, server.path('Demo', 'database'))).version).toBe(3);
  });

  it('an archived item comes back with the next version', async () => {
    const server = await startServer();
    server.store.archiveItem('Demo', 'database');
    server.store.restoreItem('Demo', 'database');
    const listed = await server.read(itemSummaryListSchema, `${server.path('Demo')}/items`);
    expect(listed.find(({ title }) => title === 'database')).toMatchObject({ version: 3 });
    expect(await server.read(vaultSchema, server.path('Demo'))).toMatchObject({ items: 2 });
  });

  it('a new title moves the item version', async () => {
    const server = await startServer();
    server.store.renameItem('Demo', 'database', 'renamed');
    expect(await server.read(itemSchema, server.path('Demo', 'renamed'))).toMatchObject({ title: 'renamed', version: 2 });
  });

  it('vaults and items can be older than the server', async () => {
    const server = await startServer();
    const createdAt = '2020-01-01T00:00:00.000Z';
    server.store.createVault({ name: 'Old', createdAt });
    server.store.createItem('Old', { title: 'old', createdAt });
    server.store.setField('Old', 'old', 'password', 'x');
    expect(await server.read(vaultSchema, server.path('Old'))).toMatchObject({ createdAt });
    expect(await server.read(itemSchema, server.path('Old', 'old'))).toMatchObject({ createdAt });
  });

  it('refuses to edit what does not exist', async () => {
    const { store } = await startServer();
    expect(() => store.setField('Demo', 'missing', 'password', 'x')).toThrow('there is no item missing in the vault Demo');
    expect(() => store.createItem('Missing', { title: 'x' })).toThrow('there is no vault Missing');
  });
});

describe('an item that moves to another vault', () => {
  it('is a new item there, with an id of its own and the same content', async () => {
    const server = await startServer();
    const { id } = server.store.item('Demo', 'database');
    const { fields, files } = await server.read(itemSchema, server.path('Demo', 'database'));
    const moved = server.store.moveItem('Demo', 'Other', 'database');
    expect(moved.id).not.toBe(id);
    const read = await server.read(itemSchema, server.path('Other', 'database'));
    expect(read).toMatchObject({ title: 'database', version: 1, vault: { id: server.store.vault('Other').id } });
    const content = (of: typeof fields) => of.map(({ label, type, value }) => [label, type, value]);
    expect([content(read.fields), read.files.map(({ name }) => name)]).toStrictEqual([content(fields), files.map(({ name }) => name)]);
  });

  it('is gone from where it was, and moves the content version of both vaults', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'database');
    const contents = () => ['Demo', 'Other'].map((vault) => server.store.vault(vault).contentVersion);
    const [from = 0, to = 0] = contents();
    server.store.moveItem('Demo', 'Other', 'database');
    expect(await server.fail('GET', path)).toMatchObject({ status: 404 });
    expect(contents()).toStrictEqual([from + 1, to + 1]);
  });

  it('stays where it is when there is no such vault', async () => {
    const { store } = await startServer();
    expect(() => store.moveItem('Demo', 'Missing', 'database')).toThrow('there is no vault Missing');
    expect(store.item('Demo', 'database').version).toBe(1);
  });
});

describe('POST', () => {
  it('creates an item, gives ids to it and its parts, and lists it', async () => {
    const server = await startServer();
    const body = itemFor(server, {
      fields: [
        { label: 'password', value: 'x', purpose: 'PASSWORD' },
        { label: 'extra', value: 'y' },
      ],
    });
    const created = await server.write(itemSchema, 'POST', `${server.path('Demo')}/items`, body);
    expect(created).toMatchObject({ title: 'new', version: 1, fields: [{ id: 'password', type: 'CONCEALED' }, { type: 'STRING' }] });
    expect(await server.read(itemSchema, server.path('Demo', 'new'))).toStrictEqual(created);
  });

  it('generates a value by the recipe where none is given', async () => {
    const server = await startServer();
    const recipe = { length: 40, characterSets: ['DIGITS'], excludeCharacters: '01' };
    const fields = [
      { label: 'made', generate: true, recipe },
      { label: 'given', value: 'kept', generate: true, recipe },
      { label: 'plain', generate: true },
    ];
    const created = await server.write(itemSchema, 'POST', `${server.path('Demo')}/items`, itemFor(server, { fields }));
    const [made, given, plain] = created.fields.map(({ value }) => value);
    expect(made).toMatch(/^[2-9]{40}$/);
    expect(given).toBe('kept');
    expect(plain).toHaveLength(32);
  });

  it.each([
    ['an unknown category', { category: 'NONSENSE' }, 'Invalid item category'],
    ['a missing category', { category: undefined }, 'Invalid item category'],
    ['a number for a value', { fields: [{ label: 'a', value: 7 }] }, 'fields[0].value'],
    ['an unknown field type', { fields: [{ label: 'a', type: 'NONSENSE' }] }, 'fields[0].type'],
    ['fields of one id', { fields: [{ id: 'a' }, { id: 'a' }] }, 'two fields have the same id'],
    [
      'a recipe without characters',
      { fields: [{ generate: true, recipe: { characterSets: ['DIGITS'], excludeCharacters: '0123456789' } }] },
      'recipe',
    ],
    ['another vault', { vault: { id: 'a'.repeat(26) } }, 'vault'],
    ['no vault', { vault: undefined }, 'vault'],
  ])('answers 400 to %s and creates nothing', async (_, rest, message) => {
    const server = await startServer();
    const error = await server.fail('POST', `${server.path('Demo')}/items`, itemFor(server, rest));
    expect(error.status).toBe(400);
    expect(error.message).toContain(message);
    expect(server.store.vault('Demo').items).toBe(2);
  });

  it('answers 400 to what is not JSON, and quotes none of it', async () => {
    const server = await startServer();
    const error = await server.fail('POST', `${server.path('Demo')}/items`, '{"value":"hunter2');
    expect(error).toStrictEqual({ status: 400, message: 'The request body is not valid JSON' });
  });

  it('answers 413 to a body over the limit', async () => {
    const server = await startServer();
    const body = itemFor(server, { fields: [{ label: 'a', value: 'x'.repeat(bodyLimit) }] });
    expect(await server.fail('POST', `${server.path('Demo')}/items`, body)).toMatchObject({ status: 413 });
  });
});

describe('PUT', () => {
  it('replaces all content but the files', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'database');
    const replaced = await server.write(itemSchema, 'PUT', path, itemFor(server, { title: 'renamed', category: 'SERVER' }));
    expect(replaced).toMatchObject({ title: 'renamed', category: 'SERVER', version: 2, tags: [], fields: [], urls: [], sections: [] });
    expect(replaced.files.map(({ name }) => name)).toStrictEqual(['ca.crt']);
  });

  it('takes back what it gave, as a client that changes one value does', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'database');
    const before = await server.read(itemSchema, path);
    const fields = before.fields.map((field) => (field.label === 'password' ? { ...field, value: 'second' } : field));
    const after = await server.write(itemSchema, 'PUT', path, { ...before, fields });
    expect({ ...after, fields: after.fields.map(({ id, label }) => ({ id, label })) }).toStrictEqual({
      ...before,
      version: 2,
      updatedAt: after.updatedAt,
      fields: before.fields.map(({ id, label }) => ({ id, label })),
    });
    expect(after.fields[1]?.value).toBe('second');
  });

  it('answers 400 when the ids differ, and 404 to an item that does not exist', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'database');
    expect(await server.fail('PUT', path, itemFor(server, { id: 'a'.repeat(26) }))).toMatchObject({ status: 400 });
    expect(await server.fail('PUT', `${server.path('Demo')}/items/${'a'.repeat(26)}`, itemFor(server))).toMatchObject({ status: 404 });
  });
});

describe('DELETE', () => {
  it('answers 204, and the item is gone', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'api-key');
    expect((await server.request('DELETE', path)).status).toBe(204);
    expect(await server.fail('GET', path)).toMatchObject({ status: 404 });
  });
});

describe('PATCH', () => {
  it('replaces the value of a field by the id of the field', async () => {
    const item = await patch([{ op: 'replace', path: '/fields/password/value', value: 'second' }]);
    expect(item.version).toBe(2);
    expect(item.fields.map(({ value }) => value)).toStrictEqual(['shop', 'second', 'db.example.com', 'JBSWY3DPEHPK3PXP']);
  });

  it('replaces a whole field and keeps its id and place', async () => {
    const item = await patch([{ op: 'replace', path: '/fields/password', value: { label: 'token', type: 'string', value: 'v' } }]);
    expect(item.fields[1]).toStrictEqual({ id: 'password', label: 'token', type: 'STRING', value: 'v' });
  });

  it.each(['/fields', '/fields/-'])('adds a field at %s', async (path) => {
    const item = await patch([{ op: 'add', path, value: { label: 'new', value: 'v' } }]);
    expect(item.fields.at(-1)).toMatchObject({ label: 'new', value: 'v', type: 'STRING' });
    expect(item.fields).toHaveLength(5);
  });

  it('removes a field, and an attribute of one', async () => {
    const item = await patch([
      { op: 'remove', path: '/fields/username' },
      { op: 'remove', path: '/fields/password/value' },
    ]);
    expect(item.fields.map(({ id }) => id)).not.toContain('username');
    expect(item.fields[0]).not.toHaveProperty('value');
  });

  it('changes attributes of the item, and tags by their place', async () => {
    const item = await patch([
      { op: 'replace', path: '/title', value: 'renamed' },
      { op: 'add', path: '/favorite', value: true },
      { op: 'remove', path: '/tags/1' },
      { op: 'add', path: '/tags/-', value: 'c' },
      { op: 'add', path: '/tags/0', value: 'first' },
      { op: 'replace', path: '/urls/0/href', value: 'https://new.example.com' },
    ]);
    expect(item).toMatchObject({
      title: 'renamed',
      favorite: true,
      tags: ['first', 'a', 'c'],
      urls: [{ label: 'url', href: 'https://new.example.com', primary: true }],
    });
  });

  it('replaces the whole item at /', async () => {
    const item = await patch([{ op: 'replace', path: '/', value: { title: 'whole', category: 'LOGIN', tags: ['x'] } }]);
    expect(item).toMatchObject({ title: 'whole', category: 'LOGIN', tags: ['x'], fields: [], version: 2 });
    expect(item.files).toHaveLength(1);
  });

  it('leaves the item and its versions as they are when the patch is empty', async () => {
    expect((await patch([])).version).toBe(1);
  });

  it.each([
    ['a field that does not exist', { op: 'replace', path: '/fields/missing/value', value: 'v' }],
    ['a field by its place', { op: 'remove', path: '/fields/0' }],
    ['a tag that does not exist', { op: 'remove', path: '/tags/7' }],
    ['a read-only attribute', { op: 'replace', path: '/version', value: 7 }],
    ['the files', { op: 'remove', path: '/files' }],
    ['another operation', { op: 'test', path: '/title', value: 'database' }],
    ['a missing value', { op: 'replace', path: '/title' }],
    ['a path without a slash', { op: 'remove', path: 'title' }],
    ['a value of the wrong type', { op: 'replace', path: '/fields/password/value', value: 7 }],
    ['an unknown category', { op: 'replace', path: '/category', value: 'NONSENSE' }],
    ['the removal of the item', { op: 'remove', path: '/' }],
    ['a prototype', { op: 'add', path: '/fields/password/__proto__', value: {} }],
  ])('answers 400 to %s, and changes nothing, earlier operations included', async (_, operation) => {
    const server = await startServer();
    const path = server.path('Demo', 'database');
    const before = await server.read(itemSchema, path);
    const error = await server.fail('PATCH', path, [{ op: 'replace', path: '/title', value: 'renamed' }, operation]);
    expect(error.status).toBe(400);
    expect(await server.read(itemSchema, path)).toStrictEqual(before);
  });
});
