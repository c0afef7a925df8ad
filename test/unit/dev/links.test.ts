import { describe, expect, test } from 'vitest';
import { anchorsOf, checkLinks } from '../../../dev/tools/links.ts';

const reference = [
  '# Reasons',
  '',
  '## ItemNotFound',
  '',
  '## What is not there yet',
  '',
  '## `code` and *more*',
  '',
  '## ItemNotFound',
].join('\n');
const files = new Set(['README.md', 'docs/a.md', 'docs/reference/reasons.md', 'src/kube/client.ts', 'deploy/rule.yaml']);

function check(text: string, page = 'docs/a.md'): readonly string[] {
  const pages = new Map([
    ['docs/reference/reasons.md', reference],
    [page, text],
  ]);
  return checkLinks(pages, files).map(({ line, message }) => `${line}: ${message}`);
}

describe('a link', () => {
  test.each([
    '[to a page](reference/reasons.md)',
    '[to a heading](reference/reasons.md#itemnotfound)',
    '[to another of that name](reference/reasons.md#itemnotfound-1)',
    '[to a heading with code](reference/reasons.md#code-and-more)',
    '[to the page above](../README.md)',
    '[to a folder](reference/)',
    '[to no page](../deploy/rule.yaml "with a title")',
    '# Here\n\n[to this page](#here)',
    '[elsewhere](https://example.com/none.md#none)',
    '[by name][name]\n\n[name]: reference/reasons.md',
  ])('is alive: %j', (text) => {
    expect(check(text)).toEqual([]);
  });

  test.each([
    ['[x](reference/none.md)', '1: reference/none.md: there is no docs/reference/none.md'],
    ['a\n\n[x](reference/reasons.md#none)', '3: reference/reasons.md#none: docs/reference/reasons.md has no heading #none'],
    [
      '[x](reference/reasons.md#itemnotfound-2)',
      '1: reference/reasons.md#itemnotfound-2: docs/reference/reasons.md has no heading #itemnotfound-2',
    ],
    ['[x](#here)', '1: #here: docs/a.md has no heading #here'],
    ['[x](../deploy/rule.yaml#here)', '1: ../deploy/rule.yaml#here: deploy/rule.yaml is no page with headings'],
    ['[x][name]\n\n[name]: none.md', '3: none.md: there is no docs/none.md'],
    ['[a\nbroken one](none.md)', '2: none.md: there is no docs/none.md'],
  ])('is dead: %j', (text, message) => {
    expect(check(text)).toEqual([message]);
  });

  test.each(['`[x](none.md)`', '```md\n[x](none.md)\n```', '``a ` [x](none.md)``'])('is none in code: %j', (text) => {
    expect(check(text)).toEqual([]);
  });

  test('counts after a block of code as before', () => {
    expect(check('```sh\n# no heading\n```\n\n[x](none.md)')).toEqual(['5: none.md: there is no docs/none.md']);
  });
});

describe('a file that a page names in code', () => {
  test.each(['`src/kube/client.ts`', '`kube/client.ts`', '`src/kube/`', '`dist/keyturn.js`', '`apps/v1`', '`client.ts`'])(
    'is there, or is none: %s',
    (text) => {
      expect(check(text)).toEqual([]);
    },
  );

  test.each(['src/kube/none.ts', 'kube/none.ts', 'deploy/none.yaml'])('is missed: %s', (path) => {
    expect(check(`\`${path}\``)).toEqual([`1: ${path}: there is no such file`]);
  });
});

test('the anchors of a page are those of its headings, and not of comments in its code', () => {
  expect([...anchorsOf(`${reference}\n\n\`\`\`sh\n# a comment\n\`\`\`\n`)]).toEqual([
    'reasons',
    'itemnotfound',
    'what-is-not-there-yet',
    'code-and-more',
    'itemnotfound-1',
  ]);
});
