import fc from 'fast-check';

/** Names that mean something to JavaScript. */
const prototypeNames = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', 'length', '*', ''];

/** Text as nobody writes it: halves of signs, control characters, names that mean something to JavaScript, very long. */
export const oddText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 3, arbitrary: fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)), maxLength: 12 }) },
  { weight: 2, arbitrary: fc.constantFrom(...prototypeNames) },
  { weight: 1, arbitrary: fc.constantFrom('\0', '\u2028', '\u202e', '\n', '\r\n', '\u001b[2J', '\ud800', '"', '\\', '${x}', '%s') },
  { weight: 1, arbitrary: fc.tuple(fc.string({ minLength: 1, maxLength: 3 }), fc.nat(20_000)).map(([text, times]) => text.repeat(times)) },
);

const oddNumber = fc.oneof(
  fc.double(),
  fc.constantFrom(0, -0, -1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 53), Number.MAX_SAFE_INTEGER, Number.MIN_VALUE, Number.MAX_VALUE),
);

/** Any JSON, with odd texts, odd numbers and keys that mean something to JavaScript. */
export const oddValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown; list: unknown; record: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false),
    oddNumber,
    oddText,
    tie('list'),
    tie('record'),
  ),
  list: fc.array(tie('value'), { maxLength: 3 }),
  record: fc.array(fc.tuple(oddText, tie('value')), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
})).value;

/** What is done to a document: at a place of it, chosen by number, a value is put, taken away or added beside the others. */
interface Damage {
  readonly place: number;
  readonly how: 'replace' | 'remove' | 'add';
  readonly key: string;
  readonly value: unknown;
}

const damage: fc.Arbitrary<Damage> = fc.record({
  place: fc.nat(10_000),
  how: fc.constantFrom('replace', 'replace', 'remove', 'add'),
  key: oddText,
  value: oddValue,
});

/** A document as it should be in half of all cases, else with up to three places damaged. */
export function damaged(document: fc.Arbitrary<unknown>, values: fc.Arbitrary<unknown> = oddValue): fc.Arbitrary<unknown> {
  const harm = fc.tuple(damage, values).map(([one, value]) => ({ ...one, value }));
  return fc
    .tuple(document, fc.oneof(fc.constant([]), fc.array(harm, { minLength: 1, maxLength: 3 })))
    .map(([whole, damages]) => damages.reduce(damageOnce, structuredClone(whole)));
}

function damageOnce(document: unknown, { place, how, key, value }: Damage): unknown {
  const places = placesOf(document);
  const found = places[place % (places.length + 1)];
  if (found === undefined) return how === 'replace' ? structuredClone(value) : document;
  const [holder, name] = found;
  if (how === 'remove') Reflect.deleteProperty(holder, name);
  // A copy: it may be damaged next.
  else put(holder, how === 'add' && !Array.isArray(holder) ? key : name, structuredClone(value));
  return document;
}

/** As a property of its own, whatever its name. */
function put(holder: object, name: string, value: unknown): void {
  Object.defineProperty(holder, name, { value, writable: true, enumerable: true, configurable: true });
}

function placesOf(value: unknown): readonly (readonly [object, string])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => [[value, key] as const, ...placesOf(part)]);
}

const encoder = new TextEncoder();
const deep = fc.nat(20_000).map((depth) => '['.repeat(depth) + ']'.repeat(depth));
/** Numbers that JSON can hold and JavaScript cannot, and literals that JSON does not know. */
const hugeNumbers = ['1e999', '-1e999', '123456789012345678901234567890', '0.1e-999', '-0', 'NaN', '01'];

/** How bytes that were JSON are spoiled on their way. */
const spoiled: fc.Arbitrary<(text: string) => Uint8Array> = fc.oneof(
  { weight: 15, arbitrary: fc.constant((text: string) => encoder.encode(text)) },
  { weight: 1, arbitrary: fc.nat(10_000).map((at) => (text: string) => cut(encoder.encode(text), at)) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(10_000), fc.uint8Array({ minLength: 1, maxLength: 4 })).map(([at, bytes]) => (text: string) => {
      const whole = encoder.encode(text);
      const place = at % (whole.length + 1);
      return Buffer.concat([whole.subarray(0, place), bytes, whole.subarray(place)]);
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...hugeNumbers).map((number) => (text: string) => encoder.encode(text.replace(/(?<=:)\d+/, number))),
  },
  { weight: 1, arbitrary: deep.map((nested) => (text: string) => encoder.encode(text.replace(/(?<=:)"[^"\\]*"/, () => nested))) },
  { weight: 1, arbitrary: fc.constantFrom('\ufeff', ' ', '{}', '[', 'null').map((more) => (text: string) => encoder.encode(more + text)) },
);

function cut(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(0, at % (bytes.length + 1));
}

/** JSON as it may come over a wire: right, or spoiled in value or in bytes. */
export function wireBytes(document: fc.Arbitrary<unknown>): fc.Arbitrary<Uint8Array> {
  return fc.tuple(document, spoiled).map(([value, spoil]) => spoil(JSON.stringify(value) ?? ''));
}

/** Bytes in pieces that end anywhere, in the middle of a sign too. */
export function inPieces(bytes: Uint8Array, ends: readonly number[]): readonly Uint8Array[] {
  const places = [...new Set(ends.map((end) => end % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length));
}
