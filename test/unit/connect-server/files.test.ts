import { describe, expect, it } from 'vitest';
import { inlineFileLimit } from '../../../dev/connect-server/handlers.ts';
import { fileListSchema, fileSchema } from '../../../src/connect/schema.ts';
import { type Running, startServer } from './harness.ts';

const filesOf = async (server: Running) => {
  const path = `${server.path('Demo', 'database')}/files`;
  return { path, files: await server.read(fileListSchema, path) };
};

describe('files', () => {
  it('are listed with size and path, without content', async () => {
    const server = await startServer();
    const { path, files } = await filesOf(server);
    expect(files).toStrictEqual([{ id: files[0]?.id, name: 'ca.crt', size: 12, content_path: `${path}/${files[0]?.id}/content` }]);
  });

  it('are inlined in base64 when that is asked for', async () => {
    const server = await startServer();
    const { path, files } = await filesOf(server);
    const content = Buffer.from('an authority').toString('base64');
    expect(await server.read(fileListSchema, `${path}?inline_files=true`)).toMatchObject([{ content }]);
    expect(await server.read(fileSchema, `${path}/${files[0]?.id}?inline_files=true`)).toMatchObject({ content });
    expect(await server.read(fileSchema, `${path}/${files[0]?.id}`)).not.toHaveProperty('content');
  });

  it('are inlined up to the limit, and answered with 413 beyond it', async () => {
    const server = await startServer();
    const largest = { name: 'largest', content: Buffer.alloc(inlineFileLimit) };
    server.store.createItem('Demo', { title: 'fits', files: [largest] });
    server.store.createItem('Demo', { title: 'too large', files: [{ ...largest, content: Buffer.alloc(inlineFileLimit + 1) }] });
    expect(await server.read(fileListSchema, `${server.path('Demo', 'fits')}/files?inline_files=true`)).toHaveLength(1);
    expect(await server.fail('GET', `${server.path('Demo', 'too large')}/files?inline_files=true`)).toMatchObject({ status: 413 });
  });

  it('are downloaded byte for byte from their content path', async () => {
    const server = await startServer();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    server.store.updateItem('Demo', 'database', { files: [{ name: 'all.bin', content: bytes }] });
    const { files } = await filesOf(server);
    const response = await server.request('GET', files[0]?.content_path ?? '');
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(response.headers.get('content-length')).toBe('256');
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="all.bin"');
  });

  it.each([
    ['quo"te', String.raw`attachment; filename="quo\"te"`],
    ['ü.txt', `attachment; filename="_.txt"; filename*=UTF-8''%C3%BC.txt`],
    ['line\r\nSet-Cookie: x', `attachment; filename="line__Set-Cookie: x"; filename*=UTF-8''line%0D%0ASet-Cookie%3A%20x`],
  ])('name themselves safely when they are called %j', async (name, disposition) => {
    const server = await startServer();
    server.store.updateItem('Demo', 'database', { files: [{ name, content: '' }] });
    const { files } = await filesOf(server);
    const response = await server.request('GET', files[0]?.content_path ?? '');
    expect(response.headers.get('content-disposition')).toBe(disposition);
  });
});
