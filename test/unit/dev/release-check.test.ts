import { describe, expect, it } from 'vitest';
import { releaseProblems, unset } from '../../../dev/tools/release-check.ts';

const sound = {
  tag: 'v1.2.3',
  version: '1.2.3',
  chart: { version: '1.2.3', appVersion: '1.2.3' },
  changelog: '# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-27\n\n## [1.2.2] - 2026-11-01\n',
};

describe('a release', () => {
  it('is sound when it has one version everywhere', () => {
    expect(releaseProblems(sound)).toEqual([]);
  });

  it.each([
    ['the tag', { tag: '1.2.3' }, 'the tag is 1.2.3'],
    ['package.json', { version: '1.2.4', chart: { version: '1.2.4', appVersion: '1.2.4' } }, 'package.json has 1.2.4'],
    ['the chart', { chart: { version: '1.2.2', appVersion: '1.2.3' } }, 'has version 1.2.2'],
    ['what the chart installs', { chart: { version: '1.2.3', appVersion: '1.2.2' } }, 'has appVersion 1.2.2'],
    ['the changelog', { changelog: '## [Unreleased]\n' }, 'no heading "## [1.2.3]"'],
  ])('is none when %s has another one', (_, change, problem) => {
    expect(releaseProblems({ ...sound, ...change }).join('\n')).toContain(problem);
  });
});

it('an empty variable is an unset one', () => {
  expect(unset(['A', 'B', 'C'], { A: 'a', B: '' })).toEqual(['B', 'C']);
});
