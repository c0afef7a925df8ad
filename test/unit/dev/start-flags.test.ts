import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { startFlags } from '../../../dev/tools/start-flags.ts';

const command = startFlags.join(' ');

it.each(['package.json', 'README.md', 'docs/migrating.md'])(
  '%s starts the operator with the flags of Node that are measured',
  async (file) => {
    const text = await readFile(new URL(`../../../${file}`, import.meta.url), 'utf8');
    const commands = text.match(/node (?:--[\w-]+ )+(?:src\/main\.ts|dist\/keyturn\.js)/g) ?? [];
    expect(commands).not.toEqual([]);
    for (const one of commands) expect(one).toContain(`node ${command} `);
  },
);
