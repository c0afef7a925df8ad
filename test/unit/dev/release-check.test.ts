import { describe, expect, it } from 'vitest';
import { releaseProblems, unset } from '../../../dev/tools/release-check.ts';

const sound = {
  tag: 'v1.2.3',
  version: '1.2.3',
  elsewhere: { 'version in Chart.yaml': '1.2.3' },
  image: 'registry.example.test/team/keyturn',
  images: { 'repository in values.yaml': 'registry.example.test/team/keyturn' },
  changelog: '# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-27\n\n## [1.2.2] - 2026-11-01\n',
};

describe('a release', () => {
  it('is sound when it has one version everywhere', () => {
    expect(releaseProblems(sound)).toEqual([]);
  });

  it('is none when the chart runs another image than the one that is published', () => {
    expect(releaseProblems({ ...sound, images: { 'repository in values.yaml': 'keyturn' } })).toEqual([
      'repository in values.yaml is keyturn: set it to registry.example.test/team/keyturn',
    ]);
  });

  it.each([
    ['the tag', { tag: '1.2.3' }, 'the tag is 1.2.3'],
    ['package.json', { version: '1.2.4', elsewhere: {} }, 'package.json has 1.2.4'],
    ['another place', { elsewhere: { 'version in Chart.yaml': '1.2.2' } }, 'version in Chart.yaml is 1.2.2: set it to 1.2.3'],
    ['a place without one', { elsewhere: { 'version in Chart.yaml': undefined } }, 'version in Chart.yaml is undefined'],
    ['the changelog', { changelog: '## [Unreleased]\n' }, 'no heading "## [1.2.3]"'],
  ])('is none when %s has another one', (_, change, problem) => {
    expect(releaseProblems({ ...sound, ...change }).join('\n')).toContain(problem);
  });
});

it('an empty variable is an unset one', () => {
  expect(unset(['A', 'B', 'C'], { A: 'a', B: '' })).toEqual(['B', 'C']);
});
