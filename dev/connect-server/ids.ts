import { createHash, randomBytes } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** A fresh id of a vault, an item, a section, a field, or a file: 26 characters of a-z and 2-7. */
export function randomId(): string {
  return spell(randomBytes(26));
}

/** The id that always belongs to this name, so that a seed yields the same paths on every start. The parts are told apart, not just joined. */
export function idFromName(...parts: readonly string[]): string {
  return spell(createHash('sha256').update(JSON.stringify(parts)).digest());
}

function spell(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 26), (byte) => alphabet[byte & 31]).join('');
}
