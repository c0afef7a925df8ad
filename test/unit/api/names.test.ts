import { expect, it } from 'vitest';
import { annotations, managedLabel } from '../../../src/api/names.ts';

/** The old operator takes every annotation of a Deployment under its own prefix for an instruction. */
const known = new Set(
  ['item-path', 'item-name', 'item-version', 'auto-restart', 'last-restarted'].map((name) => `operator.1password.io/${name}`),
);

it("every name on other people's objects that the old operator does not know is under keyturn.dev/", () => {
  const ours = [...Object.values(annotations), managedLabel].filter((name) => !known.has(name));
  expect(ours.filter((name) => !/^keyturn\.dev\/[a-z-]+$/.test(name))).toEqual([]);
  expect(ours).toContain('keyturn.dev/revisions');
});
