import { describe, expect, it } from 'vitest';
import { parseItemPath } from '../../../src/domain/item-path.ts';

describe('spec.itemPath', () => {
  it.each([
    ['vaults/Prod/items/db', 'Prod', 'db'],
    ['vaults/our prod/items/db (main)', 'our prod', 'db (main)'],
    ['vaults/Prod/items/team/db', 'Prod', 'team/db'],
    ['vaults/Prod/items/a/items/b', 'Prod', 'a/items/b'],
    ['vaults/a/b/items/c', 'a/b', 'c'],
    ['vaults/Prod/items/100%20sure%2F', 'Prod', '100%20sure%2F'],
    ['vaults/Prod/items/a?b#c', 'Prod', 'a?b#c'],
    ['vaults/Prod/items/../../heartbeat', 'Prod', '../../heartbeat'],
    ['vaults/Prod/items/db ', 'Prod', 'db '],
    ['vaults/Prod/items/two\nlines', 'Prod', 'two\nlines'],
    ['vaults/パスワード/items/💥', 'パスワード', '💥'],
  ])('%j: vault %j, item %j', (path, vault, item) => {
    expect(parseItemPath(path)).toEqual({ vault, item });
  });

  it.each([undefined, '', 'db', 'vaults/Prod', 'vaults/Prod/items/', 'vaults//items/db', '/vaults/Prod/items/db', 'Vaults/Prod/items/db'])(
    'refuses %j by name',
    (path) => {
      expect(() => parseItemPath(path)).toThrow(expect.objectContaining({ name: 'Failure', reason: 'InvalidItemPath' }));
    },
  );
});
