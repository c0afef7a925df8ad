import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { shellQuote } from '../../../dev/demo/shell-quote.ts';

it.each(['plain/path-1.txt', '', 'two words', "it's", '$HOME `x` "y" \\', 'a\nb'])('a shell reads %j back unchanged', (word) => {
  expect(execFileSync('/bin/sh', ['-c', `printf %s ${shellQuote(word)}`], { encoding: 'utf8' })).toBe(word);
});

it('leaves an ordinary path as it is', () => {
  expect(shellQuote('/srv/a_b-c.1/d')).toBe('/srv/a_b-c.1/d');
});
