import { describe, expect, it } from 'vitest';
import { similarTitles } from '../../../src/domain/similar-titles.ts';

describe('a title is similar', () => {
  it.each([
    ['capital letters', 'db', 'DB'],
    ['spaces', 'web server', 'webserver'],
    ['spaces around it', 'db', ' db '],
    ['punctuation', 'db-main', 'db_main'],
    ['letters with accents in capitals', 'ключ-é', 'КЛЮЧ É'],
    ['one letter, added', 'database', 'databasee'],
    ['one letter, left out', 'database', 'databse'],
    ['one letter, replaced', 'database', 'datebase'],
    ['two letters, swapped', 'database', 'adtabase'],
    ['two letters, added', 'database', 'my database'],
    ['the beginning of it', 'db', 'db-main'],
    ['what it is the beginning of', 'db-main-2', 'db'],
    ['a long title with a tail', 'x'.repeat(70), `${'x'.repeat(70)} (old)`],
  ])('that differs by %s', (_, wanted, title) => {
    expect(similarTitles(wanted, [title])).toEqual([title]);
  });

  it.each([
    ['other words', 'database', 'website'],
    ['three letters', 'database', 'dxtxbxse'],
    ['half of its letters', 'abcd', 'abxy'],
    ['one of its two letters', 'db', 'da'],
    ['all but one letter at the beginning', 'd', 'database'],
    ['the middle of it', 'base', 'database'],
    ['a long title with slips', 'x'.repeat(70), `${'x'.repeat(69)}y`],
    ['nothing but punctuation', 'db', '---'],
    ['punctuation alone', '---', '***'],
    ['everything, since nothing is wanted', '---', 'db'],
  ])('not that shares %s', (_, wanted, title) => {
    expect(similarTitles(wanted, [title])).toEqual([]);
  });
});

describe('of several similar titles', () => {
  it('the closest comes first: the same letters, a slip, two, a longer one', () => {
    expect(
      similarTitles('database', ['database-2000', 'dataabse', 'DATABASE']).concat(similarTitles('database', ['databaze', 'dataabse'])),
    ).toEqual(['DATABASE', 'dataabse', 'database-2000', 'databaze', 'dataabse']);
  });

  it('the shorter comes first when they are as close', () => {
    expect(similarTitles('db', ['db-main-replica', 'db-main'])).toEqual(['db-main', 'db-main-replica']);
  });

  it('three are named', () => {
    expect(similarTitles('db', ['db-1', 'db-2', 'db-3', 'db-4'])).toEqual(['db-1', 'db-2', 'db-3']);
  });
});
