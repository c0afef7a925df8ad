import { FullItem, ItemBuilder, OnePasswordConnect } from '@1password/connect';
import { describe, expect, it } from 'vitest';
import { startServer } from './harness.ts';

async function connect() {
  const server = await startServer();
  return {
    server,
    demo: server.store.vault('Demo').id,
    client: OnePasswordConnect({ serverURL: server.url, token: server.token, keepAlive: true }),
  };
}

describe('the official client', () => {
  it('lists vaults, and finds one by id and by title', async () => {
    const { client, demo } = await connect();
    expect((await client.listVaults()).map(({ name }) => name)).toStrictEqual(['Demo', 'Other']);
    expect((await client.getVault(demo)).name).toBe('Demo');
    expect((await client.getVault('Demo')).id).toBe(demo);
    expect((await client.getVaultById(demo)).createdAt).toBeInstanceOf(Date);
    expect(await client.listVaultsByTitle('Missing')).toStrictEqual([]);
  });

  it('lists items, and finds them by id, by title, and by a part of the title', async () => {
    const { client, demo, server } = await connect();
    expect((await client.listItems(demo)).map(({ title }) => title)).toStrictEqual(['database', 'api-key']);
    const { id } = server.store.item('Demo', 'database');
    expect((await client.getItem(demo, id)).title).toBe('database');
    expect((await client.getItem(demo, 'database')).id).toBe(id);
    expect(await client.listItemsByTitle(demo, 'database')).toHaveLength(1);
    expect((await client.listItemsByTitleContains(demo, 'api')).map(({ title }) => title)).toStrictEqual(['api-key']);
  });

  it('reads fields, and the one-time code', async () => {
    const { client, demo } = await connect();
    const { fields = [] } = await client.getItemByTitle(demo, 'database');
    expect(fields.find(({ label }) => label === 'password')?.value).toBe('first');
    expect(await client.getItemOTP(demo, 'database')).toMatch(/^\d{6}$/);
  });

  it('creates an item that its builder made, with a generated value and a section', async () => {
    const { client, demo } = await connect();
    const item = new ItemBuilder()
      .setTitle('built')
      .setCategory(FullItem.CategoryEnum.Login)
      .addTag('made')
      .addUrl({ href: 'https://example.com', primary: true })
      .addField({ label: 'token', sectionName: 'extra', generate: true, recipe: { length: 20 } })
      .build();
    const created = await client.createItem(demo, item);
    expect(created).toMatchObject({ title: 'built', version: 1, tags: ['made'], urls: [{ href: 'https://example.com', primary: true }] });
    expect(created.fields?.[0]?.value).toHaveLength(20);
    expect(created.fields?.[0]?.section?.id).toBe(created.sections?.[0]?.id);
  });

  it('updates an item that it read', async () => {
    const { client, demo, server } = await connect();
    const item = await client.getItemByTitle(demo, 'database');
    const password = item.fields?.find(({ label }) => label === 'password');
    if (password === undefined) throw new Error('the item has a password');
    password.value = 'second';
    expect((await client.updateItem(demo, item)).version).toBe(2);
    expect(server.store.item('Demo', 'database').fields.find(({ label }) => label === 'password')?.value).toBe('second');
  });

  it('deletes items by id and by title', async () => {
    const { client, demo, server } = await connect();
    await client.deleteItem(demo, server.store.item('Demo', 'database').id);
    await client.deleteItem(demo, 'api-key');
    expect(await client.listItems(demo)).toStrictEqual([]);
  });

  it('lists, describes and downloads files', async () => {
    const { client, demo } = await connect();
    const [file] = await client.listFiles('Demo', 'database');
    expect(file).toMatchObject({ name: 'ca.crt', size: 12 });
    const id = file?.id ?? '';
    expect((await client.getFileById(demo, 'database', id)).content_path).toBe(file?.content_path);
    expect(await client.getFileContent('Demo', 'database', id)).toBe('an authority');
  });

  it('rejects with the status and message of an error', async () => {
    const { client, demo } = await connect();
    const missing = 'a'.repeat(26);
    await expect(client.getItemById(demo, missing)).rejects.toStrictEqual({ status: 404, message: `item ${missing} not found` });
  });
});
