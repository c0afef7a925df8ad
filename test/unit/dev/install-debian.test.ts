import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

const script = resolve(import.meta.dirname, '../../../dev/tools/install-debian.sh');

interface Machine {
  readonly apt?: boolean;
  readonly root?: boolean;
  readonly installed?: readonly string[];
  /** apt-get fails at this. */
  readonly failing?: 'update' | 'install';
}

/** Runs the script on a machine whose programs are made up: nothing is installed in earnest. */
async function run({ apt = true, root = true, installed = [], failing }: Machine, ...packages: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [bin, state, policy] = [join(folder, 'bin'), join(folder, 'state'), join(folder, 'policy-rc.d')];
  await mkdir(bin);
  await mkdir(state);
  const program = (name: string, ...lines: readonly string[]): Promise<void> =>
    writeFile(join(bin, name), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  for (const name of ['rm', 'chmod', 'cat']) await program(name, `exec /bin/${name} "$@"`);
  await program('id', `echo ${root ? 0 : 1000}`);
  if (apt) {
    await program('dpkg-query', `for name; do :; done; if [ -e "${state}/$name" ]; then echo installed; else exit 1; fi`);
    await program(
      'apt-get',
      `echo "$*" >>"${folder}/calls"`,
      `sh "${policy}"; echo "services: $?" >>"${folder}/calls"`,
      `case "$*" in *" ${failing ?? 'nothing'}"*) exit 100;; esac`,
      `case "$*" in *" install "*) for name; do case $name in [a-z]*) : >"${state}/$name";; esac; done;; esac`,
    );
    await program('sh', `exec /bin/sh "$@"`);
    for (const name of installed) await writeFile(join(state, name), '');
  }
  const { code, output } = await new Promise<{ code: number; output: string }>((done) => {
    execFile('/bin/sh', [script, ...packages], { env: { PATH: bin, POLICY_RC_D: policy } }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr }),
    );
  });
  const calls = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
  return { code, output, calls: calls.split('\n').filter((line) => line !== ''), policyLeft: existsSync(policy) };
}

it('what is missing is installed, after one update, with nothing recommended and no service started', async () => {
  const { code, output, calls, policyLeft } = await run({ installed: ['a'] }, 'a', 'b', 'c');
  expect([code, output]).toEqual([0, 'a: is installed\ninstalling b c\nb: installed\nc: installed\n']);
  expect(calls).toEqual([
    expect.stringMatching(/ update$/),
    'services: 101',
    expect.stringMatching(/ install --yes --no-remove --no-install-recommends b c$/),
    'services: 101',
  ]);
  expect(policyLeft).toBe(false);
});

it('nothing is asked of apt when everything is there', async () => {
  expect(await run({ installed: ['a'], root: false }, 'a')).toMatchObject({ code: 0, output: 'a: is installed\n', calls: [] });
});

it.each<[string, Machine, string]>([
  ['there is no apt', { apt: false }, 'SKIPPED: there is no apt-get: this is no Debian\n'],
  ['somebody else than root asks', { root: false }, 'SKIPPED: only root can install b\n'],
  ['the network is away', { failing: 'update' }, 'installing b\nSKIPPED: the lists of packages cannot be fetched\n'],
  ['the package cannot be had', { failing: 'install' }, 'installing b\nSKIPPED: apt-get could not install b\n'],
])('why nothing is installed is said, and is no failure, when %s', async (_, machine, output) => {
  expect(await run(machine, 'b')).toMatchObject({ code: 0, output, policyLeft: false });
});
