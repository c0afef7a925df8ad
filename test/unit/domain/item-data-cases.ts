/**
 * What an item yields, case by case. Nothing here is computed but long labels: an expectation is what the Secret holds, as text.
 */
export interface ItemDataCase {
  readonly name: string;
  readonly item: readonly Part[];
  /** Default false. */
  readonly allowEmptyValues?: boolean;
  /** Key → value. */
  readonly data: Readonly<Record<string, string>>;
  /** Default none. */
  readonly collisions?: readonly string[];
  /** Keys of the files that have to be fetched; default none. */
  readonly fetched?: readonly string[];
}

/** A url, a field or a file of an item. */
export type Part =
  | { readonly kind: 'url'; readonly label: string; readonly value: string; readonly primary: boolean }
  | { readonly kind: 'field'; readonly label: string; readonly value: string; readonly type: string }
  | { readonly kind: 'file'; readonly label: string; readonly value: string; /** In bytes, as Connect says. */ readonly size: number };

const url = (label: string, value: string): Part => ({ kind: 'url', label, value, primary: false });
const primaryUrl = (label: string, value: string): Part => ({ kind: 'url', label, value, primary: true });
const field = (label: string, value: string, type = 'STRING'): Part => ({ kind: 'field', label, value, type });
const file = (label: string, value: string, size = value.length): Part => ({ kind: 'file', label, value, size });

const long = 'k'.repeat(253);

const precedence: readonly ItemDataCase[] = [
  { name: 'an item with nothing yields nothing', item: [], data: {} },
  {
    name: 'urls by label, fields by label, files by name',
    item: [url('website', 'https://db'), field('password', 'p'), file('ca.crt', 'c')],
    data: { website: 'https://db', password: 'p', 'ca.crt': 'c' },
    fetched: ['ca.crt'],
  },
  { name: 'a field beats a url', item: [primaryUrl('a', 'url'), field('a', 'field')], data: { a: 'field' } },
  { name: 'a field beats a file, which is not fetched', item: [file('a', 'file'), field('a', 'field')], data: { a: 'field' } },
  { name: 'a url beats a file, which is not fetched', item: [file('a', 'file'), url('a', 'url')], data: { a: 'url' } },
  {
    name: 'a field beats a url and a file whose labels become its key',
    item: [url('my key', 'url'), file('my/key', 'file'), field('my-key', 'field')],
    data: { 'my-key': 'field' },
  },
  {
    name: 'keys that differ in case are two',
    item: [url('A', 'url'), field('a', 'field'), file('Aa', 'file')],
    data: { A: 'url', a: 'field', Aa: 'file' },
    fetched: ['Aa'],
  },
];

const urls: readonly ItemDataCase[] = [
  { name: 'of two urls of one label the last', item: [url('a', '1'), url('a', '2')], data: { a: '2' } },
  { name: 'of urls of one label the primary one, first', item: [primaryUrl('a', '1'), url('a', '2')], data: { a: '1' } },
  {
    name: 'of urls of one label the primary one, in between',
    item: [url('a', '1'), primaryUrl('a', '2'), url('a', '3')],
    data: { a: '2' },
  },
  { name: 'of urls of one label the primary one, last', item: [url('a', '1'), primaryUrl('a', '2')], data: { a: '2' } },
  { name: 'of two primary urls of one label the last', item: [primaryUrl('a', '1'), primaryUrl('a', '2')], data: { a: '2' } },
  {
    name: 'a primary url decides for its own label alone',
    item: [primaryUrl('a', '1'), url('b', '2'), url('b', '3')],
    data: { a: '1', b: '3' },
  },
  { name: 'the primary url of labels that become one key', item: [primaryUrl('my url', '1'), url('my-url', '2')], data: { 'my-url': '1' } },
  { name: 'another url when the primary one is empty', item: [url('a', '1'), primaryUrl('a', '')], data: { a: '1' } },
  {
    name: 'the empty primary url where empty values are allowed',
    item: [url('a', '1'), primaryUrl('a', '')],
    allowEmptyValues: true,
    data: { a: '' },
  },
  { name: 'a url that is no url as it is', item: [url('a', ' not a url\n')], data: { a: ' not a url\n' } },
  { name: 'no url without a label', item: [primaryUrl('', 'https://db')], data: {} },
];

/** `key` is what becomes of a label, undefined when nothing does. */
function labelled(name: string, label: string, key: string | undefined): ItemDataCase {
  return { name, item: [field(label, 'x')], data: key === undefined ? {} : Object.fromEntries([[key, 'x']]) };
}

const labels: readonly ItemDataCase[] = [
  labelled('label: letters, digits, and the signs of keys', 'DB_password.v1-X', 'DB_password.v1-X'),
  labelled('label: signs of keys alone', '-_.', '-_.'),
  labelled('label: a hidden name', '.env', '.env'),
  labelled('label: dots inside', 'a..b', 'a..b'),
  labelled('label: dots at the end', 'a..', 'a..'),
  labelled('label: a space', 'one password', 'one-password'),
  labelled('label: a run of signs', 'a  &/\\ b', 'a-b'),
  labelled('label: two runs of signs', 'a & b & c', 'a-b-c'),
  labelled('label: a hyphen between spaces', 'a - b', 'a---b'),
  labelled('label: spaces at both ends', '  a  ', 'a'),
  labelled('label: signs at both ends', '(port)', 'port'),
  labelled('label: hyphens at both ends, valid', '-a-', '-a-'),
  labelled('label: hyphens at both ends, with a sign', '-a!-', '-a--'),
  labelled('label: white space at both ends, and lines', '\n\ta\r\nb\u00a0', 'a-b'),
  labelled('label: a line break at the end', 'password\n', 'password'),
  labelled('label: control characters', 'a\u0000b\u001bc', 'a-b-c'),
  labelled('label: letters with accents', 'Größe', 'Gr-e'),
  labelled('label: an accent of its own', 'cafe\u0301', 'cafe'),
  labelled('label: digits of another script', '１a２', 'a'),
  labelled('label: letters of another script', 'パスワード', undefined),
  labelled('label: a sign of two code units', '💥key💥', 'key'),
  labelled('label: a sign of two code units inside', 'a💥b', 'a-b'),
  labelled('label: half a sign inside', 'a\ud83db', 'a-b'),
  labelled('label: half a sign', '\udca5', undefined),
  labelled('label: a Kelvin sign', 'K\u212a', 'K'),
  labelled('label: nothing', '', undefined),
  labelled('label: spaces alone', '   ', undefined),
  labelled('label: a dot', '.', undefined),
  labelled('label: a dot and a space', '. ', undefined),
  labelled('label: two dots', '..', undefined),
  labelled('label: three dots', '...', undefined),
  labelled('label: two dots and a name', '..data', 'data'),
  labelled('label: two dots and a name after a sign', '/..data', 'data'),
  labelled('label: a path upwards', '../../etc/passwd', '-..-etc-passwd'),
  labelled('label: one dot, then two after a sign', '. ..a', '.-..a'),
  labelled('label: 253 characters', long, long),
  labelled('label: 254 characters', `${long}x`, long),
  labelled('label: 254 characters and signs, cut after they are dropped', ` ${long.slice(1)}  xy`, `${long.slice(1)}-`),
  labelled('label: two dots and 253 characters, cut after they are dropped', `..${long}`, long),
  labelled('label: 300 dots', '.'.repeat(300), undefined),
  labelled('label: 300 dots and a name', `${'.'.repeat(300)}a`, 'a'),
  labelled('label: a dot and 300 characters', `.${'k'.repeat(300)}`, `.${'k'.repeat(252)}`),
  labelled('label: more than 253 characters only with what is dropped', 'aé'.repeat(300), 'a-'.repeat(127).slice(0, 253)),
  labelled('label: 100,000 spaces inside', `a${' '.repeat(100_000)}b`, 'a-b'),
  labelled('label: the name of a prototype', '__proto__', '__proto__'),
  labelled('label: the name of a constructor', 'constructor', 'constructor'),
  { name: 'a label of a url is made valid as that of a field', item: [url('my url!', 'x')], data: { 'my-url': 'x' } },
];

const values: readonly ItemDataCase[] = [
  { name: 'no key for an empty value', item: [url('u', ''), field('a', ''), field('b', 'x'), file('f', '')], data: { b: 'x' } },
  {
    name: 'a key for an empty value where it is allowed',
    item: [url('u', ''), field('a', ''), file('f', '')],
    allowEmptyValues: true,
    data: { u: '', a: '', f: '' },
    fetched: ['f'],
  },
  {
    name: 'no key for a value without a label, though empty values are allowed',
    item: [field('', 'x'), field('é', '')],
    allowEmptyValues: true,
    data: {},
  },
  { name: 'white space is a value', item: [field('a', ' '), field('b', '\n')], data: { a: ' ', b: '\n' } },
  { name: 'a value stays as it is', item: [field('a', ' "ä\u0000💥\r\n'), field('b', '0')], data: { a: ' "ä\u0000💥\r\n', b: '0' } },
  { name: 'half a sign in a value is a replacement character', item: [field('a', 'x\ud800')], data: { a: 'x\ufffd' } },
  { name: 'an empty field gives way to a url', item: [url('a', 'url'), field('a', '')], data: { a: 'url' } },
  { name: 'an empty field gives way to a file', item: [field('a', ''), file('a', 'file')], data: { a: 'file' }, fetched: ['a'] },
  {
    name: 'an empty field beats a url and a file where it is allowed',
    item: [url('a', 'url'), field('a', ''), file('a', 'file')],
    allowEmptyValues: true,
    data: { a: '' },
  },
  {
    name: 'a field of any type but one-time passwords',
    item: [field('a', 'x', 'CONCEALED'), field('b', 'y', 'NEW'), field('c', 'z', '')],
    data: { a: 'x', b: 'y', c: 'z' },
  },
  { name: 'no one-time password, by either name', item: [field('a', '123456', 'OTP'), field('b', '123456', 'TOTP')], data: {} },
  { name: 'no one-time password though empty values are allowed', item: [field('a', '', 'OTP')], allowEmptyValues: true, data: {} },
  {
    name: 'a one-time password gives way to a url and a file',
    item: [field('a', '1', 'OTP'), field('b', '1', 'TOTP'), url('a', 'url'), file('b', 'file')],
    data: { a: 'url', b: 'file' },
    fetched: ['b'],
  },
];

const collisions: readonly ItemDataCase[] = [
  { name: 'of two fields of one label the last, reported', item: [field('a', '1'), field('a', '2')], data: { a: '2' }, collisions: ['a'] },
  { name: 'two fields of one label and value, reported', item: [field('a', '1'), field('a', '1')], data: { a: '1' }, collisions: ['a'] },
  {
    name: 'fields whose labels become one key, reported once',
    item: [field('a b', '1'), field('a-b', '2'), field('a/b', '3')],
    data: { 'a-b': '3' },
    collisions: ['a-b'],
  },
  {
    name: 'fields whose labels become one by the cut',
    item: [field(`${long}x`, '1'), field(`${long}y`, '2')],
    data: { [long]: '2' },
    collisions: [long],
  },
  {
    name: 'fields whose labels become one without leading dots',
    item: [field('..a', '1'), field('a', '2')],
    data: { a: '2' },
    collisions: ['a'],
  },
  {
    name: 'several keys, reported in the order in which they collide',
    item: [field('a', '1'), field('b', '1'), field('b', '2'), field('a', '2'), field('c', '1')],
    data: { a: '2', b: '2', c: '1' },
    collisions: ['b', 'a'],
  },
  {
    name: 'a collision that a url and a file share is one of fields',
    item: [url('a', 'u'), field('a', '1'), field('a', '2'), file('a', 'f')],
    data: { a: '2' },
    collisions: ['a'],
  },
  { name: 'no collision of a field with a url and a file', item: [url('a', 'u'), field('a', 'f'), file('a', 'c')], data: { a: 'f' } },
  {
    name: 'no collision of urls, nor of files',
    item: [url('a', '1'), url('a', '2'), file('b', '3'), file('b', '4')],
    data: { a: '2', b: '3' },
    fetched: ['b'],
  },
  { name: 'no collision with an empty field, which does not win either', item: [field('a', '1'), field('a', '')], data: { a: '1' } },
  {
    name: 'a collision with an empty field where it is allowed, which wins when it is last',
    item: [field('a', '1'), field('a', '')],
    allowEmptyValues: true,
    data: { a: '' },
    collisions: ['a'],
  },
  { name: 'no collision with a one-time password', item: [field('a', '1'), field('a', '2', 'OTP')], data: { a: '1' } },
  { name: 'no collision of labels that leave nothing', item: [field('é', '1'), field('ü', '2'), field('', '3')], data: {} },
  {
    name: 'a collision at the name of a prototype',
    item: [field('__proto__', '1'), field('__proto__', '2')],
    data: Object.fromEntries([['__proto__', '2']]),
    collisions: ['__proto__'],
  },
  {
    name: 'no collision of names of a prototype with each other',
    item: [field('toString', '1'), field('valueOf', '2')],
    data: Object.fromEntries([
      ['toString', '1'],
      ['valueOf', '2'],
    ]),
  },
];

const files: readonly ItemDataCase[] = [
  {
    name: 'a name of a file is made valid',
    item: [file('my file (1).pem', 'f')],
    data: { 'my-file-1-.pem': 'f' },
    fetched: ['my-file-1-.pem'],
  },
  { name: 'of two files of one name the first', item: [file('a', '1'), file('a', '2')], data: { a: '1' }, fetched: ['a'] },
  {
    name: 'of two files whose names become one key the first',
    item: [file('a b', '1'), file('a-b', '2')],
    data: { 'a-b': '1' },
    fetched: ['a-b'],
  },
  { name: 'of two files of one name the first that is not empty', item: [file('a', ''), file('a', '2')], data: { a: '2' }, fetched: ['a'] },
  {
    name: 'of two files of one name the first, though empty, where that is allowed',
    item: [file('a', ''), file('a', '2')],
    allowEmptyValues: true,
    data: { a: '' },
    fetched: ['a'],
  },
  { name: 'no file without a usable name', item: [file('', '1'), file('..', '2'), file('パ', '3')], data: {} },
  { name: 'no file of size 0 is fetched', item: [file('a', 'x', 0)], data: {} },
  { name: 'no key for a file that turns out to be empty', item: [file('a', '', 5)], data: {}, fetched: ['a'] },
  {
    name: 'a key for a file that turns out to be empty, where that is allowed',
    item: [file('a', '', 5)],
    allowEmptyValues: true,
    data: { a: '' },
    fetched: ['a'],
  },
  {
    name: 'a file with the name of a prototype',
    item: [file('__proto__', 'f'), file('constructor', 'g')],
    data: Object.fromEntries([
      ['__proto__', 'f'],
      ['constructor', 'g'],
    ]),
    fetched: ['__proto__', 'constructor'],
  },
];

export const itemDataCases: readonly ItemDataCase[] = [...precedence, ...urls, ...labels, ...values, ...collisions, ...files];
