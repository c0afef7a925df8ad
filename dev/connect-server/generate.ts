import { randomInt } from 'node:crypto';
import type { Recipe } from './item.ts';

const characters = {
  LETTERS: 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ',
  DIGITS: '0123456789',
  SYMBOLS: '!@#$%^&*()-_=+[]{};:,.<>?/|~',
};
const everySet = ['LETTERS', 'DIGITS', 'SYMBOLS'] as const;

/**
 * Makes up a value by a recipe.
 * @throws RangeError when the recipe excludes every character it allows
 */
export function generateValue(recipe: Recipe = {}): string {
  const length = recipe.length ?? 32;
  const sets = recipe.characterSets?.length ? recipe.characterSets : everySet;
  const excluded = new Set(recipe.excludeCharacters);
  const alphabet = [...new Set(sets)].flatMap((set) => Array.from(characters[set])).filter((character) => !excluded.has(character));
  if (alphabet.length === 0) throw new RangeError('the recipe excludes every character it allows');
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
}

/** An estimate in bits: the length by the size of the character sets that the value draws from. */
export function entropyOf(value: string): number {
  const used = Object.values(characters).filter((set) => Array.from(set).some((character) => value.includes(character)));
  const pool = used.reduce((size, set) => size + set.length, 0);
  return pool === 0 ? 0 : value.length * Math.log2(pool);
}
