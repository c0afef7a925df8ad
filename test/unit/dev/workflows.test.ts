import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

interface Job {
  readonly uses?: string;
  readonly permissions?: unknown;
  readonly 'timeout-minutes'?: number;
  readonly steps?: readonly { readonly uses?: string; readonly run?: string; readonly with?: Readonly<Record<string, unknown>> }[];
}

interface Workflow {
  readonly permissions?: unknown;
  readonly concurrency?: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

const root = new URL('../../../', import.meta.url);
const folder = new URL('.github/workflows/', root);
const checklist = readFileSync(new URL('docs/release-checklist.md', root), 'utf8');
const workflows = readdirSync(folder).map((name) => [name, parse(readFileSync(new URL(name, folder), 'utf8')) as Workflow] as const);
const jobs = workflows.flatMap(([file, { jobs: all }]) => Object.entries(all).map(([name, job]) => [`${file} ${name}`, job] as const));
const used = jobs.flatMap(([, { uses, steps = [] }]) => [uses, ...steps.map((step) => step.uses)]).filter((name) => name !== undefined);
const actions = new Set(used.filter((name) => !name.startsWith('./')));

it('the checklist of releases names every action that a workflow uses, and no other', () => {
  const listed = checklist.matchAll(/`([\w.-]+\/[\w./-]+@[\w.]+)`/g).map((match) => match[1]);
  expect(new Set(listed)).toEqual(actions);
});

it('a workflow grants nothing by itself, and knows what to do about another run of it', () => {
  expect(workflows.filter(([, { permissions, concurrency }]) => JSON.stringify(permissions) !== '{}' || concurrency === undefined)).toEqual(
    [],
  );
});

it('every job says what it may do, and ends', () => {
  const careless = jobs.filter(
    ([, job]) => job.permissions === undefined || (job.uses === undefined && job['timeout-minutes'] === undefined),
  );
  expect(careless.map(([name]) => name)).toEqual([]);
});

it('no checkout leaves a token behind', () => {
  const checkouts = jobs.flatMap(([, { steps = [] }]) => steps.filter(({ uses }) => uses?.startsWith('actions/checkout@') === true));
  expect(checkouts.length).toBeGreaterThan(0);
  expect(checkouts.filter((step) => step.with?.['persist-credentials'] !== false)).toEqual([]);
});

it('a release gives the image its tag last, when it was started on both platforms, attested and signed', () => {
  const { steps = [] } = new Map(jobs).get('release.yml image') ?? {};
  const build = steps.find(({ uses }) => uses?.startsWith('docker/build-push-action@') === true);
  expect(build?.with).toMatchObject({ platforms: 'linux/amd64,linux/arm64', outputs: expect.stringContaining('push-by-digest=true') });
  expect(build?.with).not.toHaveProperty('tags');
  const order = [
    'docker/build-push-action',
    'docker run',
    'actions/attest-sbom',
    'actions/attest-build-provenance',
    'cosign sign',
    '--tag',
  ];
  const places = order.map((what) => steps.findIndex(({ uses = '', run = '' }) => uses.startsWith(`${what}@`) || run.includes(what)));
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((one, other) => one - other));
  expect(places.at(-1)).toBe(steps.length - 1);
});
