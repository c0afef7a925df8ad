import { describe, expect, it } from 'vitest';
import type { Item } from '../../../src/domain/item.ts';
import { itemData, wantedFiles } from '../../../src/domain/item-data.ts';
import { SecretValue } from '../../../src/domain/secret-value.ts';

/** `[label, value]`, with a type other than STRING third; urls have `primary` third. */
interface Parts {
  readonly urls?: readonly (readonly [label: string, href: string, primary?: 'primary'])[];
  readonly fields?: readonly (readonly [label: string, value: string, type?: string])[];
  readonly files?: readonly (readonly [name: string, content: string])[];
}

interface Case extends Parts {
  readonly name: string;
  readonly data: Readonly<Record<string, string>>;
  readonly collisions?: readonly string[];
  readonly allowEmptyValues?: boolean;
}

function item({ urls = [], fields = [], files = [] }: Parts): Item {
  return {
    id: 'i',
    vaultId: 'v',
    version: 1,
    frozen: false,
    urls: urls.map(([label, href, primary]) => ({ label, primary: primary !== undefined, value: SecretValue.fromText(href) })),
    fields: fields.map(([label, value, type = 'STRING']) => ({ label, type, value: SecretValue.fromText(value) })),
    files: files.map(([name, content], index) => ({ id: String(index), name, size: content.length })),
  };
}

/** What the Secret holds in the end: the wanted files are fetched, as the operator does. */
function secretOf({ allowEmptyValues = false, ...parts }: Omit<Case, 'data'>): Pick<Case, 'data' | 'collisions'> {
  const wanted = wantedFiles(item(parts), { allowEmptyValues });
  const contents = [...wanted].map(([key, { id }]) => [key, SecretValue.fromText(parts.files?.[Number(id)]?.[1] ?? '')] as const);
  const { data, collisions } = itemData(item(parts), new Map(contents), { allowEmptyValues });
  const decoded = [...data].map(([key, value]) => [key, Buffer.from(value.exposeBase64(), 'base64').toString()]);
  return { data: Object.fromEntries(decoded), collisions };
}

const cases: readonly Case[] = [
  {
    name: 'takes urls, fields and files',
    urls: [['url', 'https://db']],
    fields: [['password', 'p']],
    files: [['ca.crt', 'c']],
    data: { url: 'https://db', password: 'p', 'ca.crt': 'c' },
  },
  { name: 'gives a field precedence over a url', urls: [['host', 'url']], fields: [['host', 'field']], data: { host: 'field' } },
  { name: 'gives a field precedence over a file', fields: [['key', 'field']], files: [['key', 'file']], data: { key: 'field' } },
  { name: 'gives a url precedence over a file', urls: [['key', 'url']], files: [['key', 'file']], data: { key: 'url' } },
  {
    name: 'takes the first of several files of one name',
    files: [
      ['a', 'first'],
      ['a', 'second'],
    ],
    data: { a: 'first' },
  },
  {
    name: 'takes the primary url of a label, wherever it stands',
    urls: [
      ['url', '1'],
      ['url', '2', 'primary'],
      ['url', '3'],
    ],
    data: { url: '2' },
  },
  {
    name: 'takes the last url of a label when none is primary',
    urls: [
      ['url', '1'],
      ['url', '2'],
    ],
    data: { url: '2' },
  },
  {
    name: 'takes another url when the primary one is empty',
    urls: [
      ['url', '', 'primary'],
      ['url', '2'],
    ],
    data: { url: '2' },
  },
  {
    name: 'knows a primary url by its key',
    urls: [
      ['my url', '1', 'primary'],
      ['my-url', '2'],
    ],
    data: { 'my-url': '1' },
  },
  {
    name: 'makes labels valid',
    fields: [['one time (pad)', 'x']],
    files: [['my file.pem', 'f']],
    data: { 'one-time-pad': 'x', 'my-file.pem': 'f' },
  },
  {
    name: 'skips what has no key',
    urls: [['', 'u']],
    fields: [
      ['', 'x'],
      ['é', 'y'],
    ],
    files: [['..', 'f']],
    data: {},
  },
  {
    name: 'skips empty values',
    urls: [['u', '']],
    fields: [
      ['a', ''],
      ['b', 'x'],
    ],
    files: [['f', '']],
    data: { b: 'x' },
  },
  {
    name: 'keeps empty values when asked to',
    allowEmptyValues: true,
    urls: [['u', '']],
    fields: [['a', '']],
    files: [['f', '']],
    data: { u: '', a: '', f: '' },
  },
  { name: 'keeps white space as a value', fields: [['a', ' ']], data: { a: ' ' } },
  {
    name: 'leaves out one-time passwords',
    fields: [
      ['a', '123456', 'OTP'],
      ['b', '123456', 'TOTP'],
      ['c', 'x', 'CONCEALED'],
    ],
    data: { c: 'x' },
  },
  { name: 'lets a file have the key of a one-time password', fields: [['a', '1', 'OTP']], files: [['a', 'file']], data: { a: 'file' } },
  {
    name: 'takes the last of two fields of one label, and reports it',
    fields: [
      ['a', '1'],
      ['a', '2'],
    ],
    data: { a: '2' },
    collisions: ['a'],
  },
  {
    name: 'reports fields whose labels become one key, once',
    fields: [
      ['a b', '1'],
      ['a-b', '2'],
      ['a/b', '3'],
    ],
    data: { 'a-b': '3' },
    collisions: ['a-b'],
  },
  {
    name: 'does not let an empty field win or collide',
    fields: [
      ['a', '1'],
      ['a', ''],
    ],
    data: { a: '1' },
  },
  {
    name: 'reports no collision of a field with a url or a file',
    urls: [['a', 'u']],
    fields: [['a', 'f']],
    files: [['a', 'c']],
    data: { a: 'f' },
  },
  {
    name: 'keeps keys that are names of JavaScript',
    fields: [
      ['__proto__', 'p'],
      ['constructor', 'c'],
    ],
    data: Object.fromEntries([
      ['__proto__', 'p'],
      ['constructor', 'c'],
    ]),
  },
  { name: 'gives nothing for an item without content', data: {} },
];

describe('the data of a Secret for an item', () => {
  it.each(cases)('$name', ({ data, collisions = [], ...given }) => {
    expect(secretOf(given)).toStrictEqual({ data, collisions });
  });
});
