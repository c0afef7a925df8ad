import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkCredentials } from '../../src/check-credentials.ts';

const file = JSON.stringify({ verifier: {}, encCredentials: {} });
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-credentials-'));
});

afterAll(() => rm(folder, { recursive: true }));

async function check(...args: readonly string[]): Promise<{ code: number; lines: readonly string[] }> {
  const lines: string[] = [];
  return { code: checkCredentials(args, (line) => lines.push(line)), lines };
}

describe('keyturn check-credentials', () => {
  it('accepts what Connect can use', async () => {
    const path = join(folder, 'good');
    await writeFile(path, Buffer.from(file).toString('base64'));
    expect(await check(path)).toEqual({ code: 0, lines: [`${path}: Connect can use these credentials`] });
  });

  it('tells what Connect cannot use', async () => {
    const path = join(folder, 'plain');
    await writeFile(path, file);
    expect(await check(path)).toEqual({ code: 1, lines: [expect.stringMatching(/cannot be used: it is not base64-encoded/)] });
  });

  it('names the Secret to be made where there is no file', async () => {
    expect(await check(join(folder, 'none'))).toEqual({ code: 1, lines: [expect.stringMatching(/does not exist.*the Secret/)] });
  });

  it.each([[[]], [['--help-me']], [['a', 'b']]])('says how it is used when it is given %j', async (args) => {
    expect(await check(...args)).toEqual({ code: 2, lines: ['usage: keyturn check-credentials FILE'] });
  });
});
