import type { Item, ItemFile } from './item.ts';
import { secretKey } from './secret-key.ts';
import type { SecretData, SecretValue } from './secret-value.ts';

export interface ItemDataOptions {
  /** Keep keys whose value is empty. */
  readonly allowEmptyValues: boolean;
}

export interface ItemData {
  readonly data: SecretData;
  /** Keys that more than one field wanted; the last of them has it. */
  readonly collisions: readonly string[];
}

/** One-time passwords change by the minute: `OTP` on the wire, `TOTP` in Connect's document. */
const oneTimePasswords = new Set(['OTP', 'TOTP']);

/** Which files of the item get a key of their own, by that key: a field, a url or an earlier file of the same key wins. */
export function wantedFiles(item: Item, options: ItemDataOptions): ReadonlyMap<string, ItemFile> {
  const { data } = fieldsAndUrls(item, options);
  const files = new Map<string, ItemFile>();
  for (const file of item.files) {
    const key = secretKey(file.name);
    if (key === '' || data.has(key) || files.has(key) || (file.size === 0 && !options.allowEmptyValues)) continue;
    files.set(key, file);
  }
  return files;
}

/** What the contents of files amount to in bytes, as Connect announces them: to be compared before any is fetched. */
export function filesSize(files: ReadonlyMap<string, ItemFile>): number {
  return files.values().reduce((sum, { size }) => sum + size, 0);
}

/**
 * The data of the Secret for an item: urls by label, then fields by label, then the contents of `wantedFiles` by key. A content that
 * is empty, though Connect announced one, is an empty value as any other.
 */
export function itemData(item: Item, contents: ReadonlyMap<string, SecretValue>, options: ItemDataOptions): ItemData {
  const { data, collisions } = fieldsAndUrls(item, options);
  for (const [key, content] of contents) if (!data.has(key) && isKept(key, content, options)) data.set(key, content);
  return { data, collisions };
}

function fieldsAndUrls(item: Item, options: ItemDataOptions): { data: Map<string, SecretValue>; collisions: string[] } {
  const data = new Map<string, SecretValue>();

  const primary = new Set<string>();
  for (const url of item.urls) {
    const key = secretKey(url.label);
    if (!isKept(key, url.value, options) || (primary.has(key) && !url.primary)) continue;
    if (url.primary) primary.add(key);
    data.set(key, url.value);
  }

  const fields = new Map<string, SecretValue>();
  const collisions = new Set<string>();
  for (const field of item.fields) {
    const key = secretKey(field.label);
    if (!isKept(key, field.value, options) || oneTimePasswords.has(field.type)) continue;
    if (fields.has(key)) collisions.add(key);
    fields.set(key, field.value);
  }
  for (const [key, value] of fields) data.set(key, value);
  return { data, collisions: [...collisions] };
}

function isKept(key: string, value: SecretValue, { allowEmptyValues }: ItemDataOptions): boolean {
  return key !== '' && (allowEmptyValues || !value.isEmpty);
}
