import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AccessToken, createConnectToken } from '../../../src/connect/token.ts';
import { tokenId } from '../../../src/connect/token-id.ts';

const canary = 'canary-9b1f';

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims: unknown): string => `${part({ alg: 'ES256' })}.${part(claims)}.${canary}`;

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'keyturn-token-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

/** A token in a file, and what is said of it. */
async function setUp(text: string | undefined = 'one\n') {
  const file = join(await folder(), 'token');
  if (text !== undefined) await writeFile(file, text);
  const loaded: string[] = [];
  const problems: string[] = [];
  const onLoaded = (id: string, event: string): void => void loaded.push(`${event} ${id}`);
  const token = createConnectToken({ file, onLoaded, onUnreadable: (problem) => problems.push(problem) });
  return { file, token, loaded, problems };
}

describe('the name of a token', () => {
  it('is the jti of a JWT', () => {
    expect(tokenId(jwt({ jti: 'abc-DEF_1.2' }))).toBe('abc-DEF_1.2');
  });

  it.each([
    ['no JWT', canary],
    ['nothing', ''],
    ['two parts', `${part({})}.${part({ jti: 'a' })}`],
    ['four parts', `${jwt({ jti: 'a' })}.more`],
    ['claims that are no JSON', `a.${Buffer.from(canary).toString('base64url')}.b`],
    ['claims that are null', jwt(null)],
    ['no jti', jwt({ sub: canary })],
    ['a jti that is no text', jwt({ jti: { canary } })],
    ['a jti of nothing', jwt({ jti: '' })],
    ['a jti that breaks lines', jwt({ jti: `a\n${canary}` })],
    ['a jti without end', jwt({ jti: canary.repeat(100) })],
  ])('is opaque with %s', (_, token) => {
    expect(tokenId(token)).toBe('opaque');
  });
});

describe('a token', () => {
  it('cannot be printed', () => {
    const token = new AccessToken(canary);
    const printed = [String(token), JSON.stringify({ token }), inspect({ token }, { depth: null, showHidden: true })];
    expect(printed.join()).not.toContain(canary);
    expect(token.expose()).toBe(canary);
  });

  it('that is given is used as it is, and never changes', () => {
    const token = createConnectToken({ token: jwt({ jti: 'x' }) });
    expect([token.id(), token.reload(), token.current?.expose()]).toEqual(['x', false, jwt({ jti: 'x' })]);
  });
});

describe('a token in a file', () => {
  it('is read without the white space around it, and told of by its name', async () => {
    const { token, loaded } = await setUp(`\n ${jwt({ jti: 'first' })} \n`);
    expect([token.current?.expose(), token.id(), loaded]).toEqual([jwt({ jti: 'first' }), 'first', ['loaded first']]);
  });

  it('is another one when the content is, and not when the file was only written again', async () => {
    const { file, token, loaded } = await setUp('one');
    await writeFile(file, 'one\n');
    expect([token.reload(), token.reload()]).toEqual([false, false]);
    await writeFile(file, jwt({ jti: 'second' }));
    expect([token.reload(), token.reload(), token.reload()]).toEqual([false, true, false]);
    expect(loaded).toEqual(['loaded opaque', 'changed second']);
  });

  it('that is seen half written is not taken', async () => {
    const { file, token, loaded } = await setUp('old');
    const seen: (string | undefined)[] = [];
    for (const text of ['ne', 'new', 'new']) {
      await writeFile(file, text);
      token.reload();
      seen.push(token.current?.expose());
    }
    expect([seen, loaded]).toEqual([
      ['old', 'old', 'new'],
      ['loaded opaque', 'changed opaque'],
    ]);
  });

  it('is taken at the first look when the one before it was refused', async () => {
    const { file, token } = await setUp('old');
    const old = token.current;
    expect(token.reload(old)).toBe(false);
    await writeFile(file, 'new');
    expect([token.reload(), token.current?.expose()]).toEqual([true, 'new']);
    await writeFile(file, 'newer');
    expect([token.reload(old), token.current?.expose()]).toEqual([false, 'new']);
  });

  it('changes by a link that is swapped above it, as Kubernetes does', async () => {
    const mount = await folder();
    for (const version of ['1', '2']) {
      await mkdir(join(mount, `..${version}`));
      await writeFile(join(mount, `..${version}`, 'token'), `token-${version}`);
    }
    await symlink('..1', join(mount, '..data'));
    await symlink('..data/token', join(mount, 'token'));
    const token = createConnectToken({ file: join(mount, 'token') });
    await symlink('..2', join(mount, '..data_tmp'));
    await rename(join(mount, '..data_tmp'), join(mount, '..data'));
    expect([token.reload(), token.reload(), token.current?.expose()]).toEqual([false, true, 'token-2']);
  });

  it.each<[string, (file: string) => Promise<unknown>]>([
    ['gone', (file) => unlink(file)],
    ['empty', (file) => writeFile(file, ' \n')],
    ['two tokens', (file) => writeFile(file, `${canary} ${canary}`)],
    ['no text', (file) => writeFile(file, Buffer.from([0xff, 0xfe, 0x00, 0x41]))],
    ['far too large', (file) => writeFile(file, 'x'.repeat(20_000))],
    ['a folder', async (file) => [await unlink(file), await mkdir(file)]],
  ])('stays the last good one while the file is %s, which is said once, without its content', async (_, spoil) => {
    const { file, token, problems, loaded } = await setUp('good');
    await spoil(file);
    expect([token.reload(), token.reload(), token.current?.expose()]).toEqual([false, false, 'good']);
    expect(problems).toHaveLength(1);
    expect(problems.join()).not.toContain(canary);
    expect(loaded).toHaveLength(1);
  });

  it('is complained of anew when it was good in between', async () => {
    const { file, token, problems } = await setUp('good');
    for (const text of ['', 'good', '']) {
      await writeFile(file, text);
      token.reload();
    }
    expect(problems).toHaveLength(2);
  });

  it('may come later', async () => {
    const { file, token, loaded, problems } = await setUp('');
    expect([token.current, token.id(), problems.length]).toEqual([undefined, 'opaque', 1]);
    await writeFile(file, 'late');
    expect([token.reload(), token.current?.expose(), loaded]).toEqual([true, 'late', ['loaded opaque']]);
  });
});
