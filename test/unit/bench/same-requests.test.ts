import { expect, test } from 'vitest';
import { type Asked, sameRequests } from '../../bench/same-requests.ts';

function asked(api: Readonly<Record<string, number>>, connect: Asked['connect'] = {}): Asked {
  return { api: new Map(Object.entries(api)), connect };
}

test('what is a matter of time makes no difference', () => {
  const own = asked(
    { 'list secrets': 3, 'get namespaces': 1, 'create secrets': 10 },
    { 'GET /v1/vaults': 4, 'GET /v1/vaults/{vault}/items': 2 },
  );
  expect(sameRequests([[own, asked({ 'create secrets': 10 })]]).value).toBe(0);
});

test('requests too many and too few add up, and the worst round counts', () => {
  const item = 'GET /v1/vaults/{vault}/items/{item}';
  const loop = asked({ 'create secrets': 10, 'get secrets': 1 }, { [item]: 10 });
  expect(
    sameRequests([
      [loop, loop],
      [asked({ 'create secrets': 12 }, { [item]: 10 }), loop],
    ]),
  ).toStrictEqual({ value: 3, raw: { rounds: [0, 3], moreThanLoop: { 'create secrets': 2, 'get secrets': -1 } } });
});
