/** So many keys are named in a message. */
const most = 10;

/** Names of keys for a message: the first of them, and how many more there are. */
export function keyList(keys: readonly string[]): string {
  const named = keys.slice(0, most).join(', ');
  return keys.length > most ? `${named} and ${keys.length - most} more` : named;
}
