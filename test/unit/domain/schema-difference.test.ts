import { expect, it } from 'vitest';
import { missingFields, type ObjectSchema } from '../../../src/domain/schema-difference.ts';

const object = (properties: Readonly<Record<string, ObjectSchema>>): ObjectSchema => ({ properties });

it.each<readonly [string, ObjectSchema, ObjectSchema, readonly string[]]>([
  ['nothing, when both are the same', object({ a: {} }), object({ a: {} }), []],
  ['nothing, when the other has more', object({ a: {} }), object({ a: {}, b: {} }), []],
  ['a field, and not what is below it', object({ a: object({ b: object({ c: {} }) }) }), object({ a: object({}) }), ['a.b']],
  ['a field of what is in a list', object({ a: { items: object({ b: {} }) } }), object({ a: { items: object({}) } }), ['a[].b']],
  ['nothing of an object of any shape', object({ a: {} }), object({ a: object({ b: {} }) }), []],
  ['everything, of nothing', object({ a: {}, b: {} }), {}, ['a', 'b']],
])('a schema lacks %s', (_, wanted, served, missing) => {
  expect(missingFields(wanted, served)).toEqual(missing);
});
