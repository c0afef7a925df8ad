import { expect, test } from 'vitest';
import { FlagError, parseFlags } from '../../bench/flags.ts';

test('--only takes names and their beginnings', () => {
  expect([...parseFlags(['--only', 'restart', '--only', 'start']).only]).toStrictEqual([
    'restart-requests',
    'restart-writes',
    'restart-time',
    'start',
  ]);
});

test('everything runs in the quick form unless it says otherwise', () => {
  const { form, only } = parseFlags([]);
  expect(form.name).toBe('quick');
  expect(only.size).toBeGreaterThan(20);
});

test.each([[['--only', 'nothing']], [['--full', '--short']], [['--unknown']]])('%j is refused', (args) => {
  expect(() => parseFlags(args)).toThrow(FlagError);
});
