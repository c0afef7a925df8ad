const maxLength = 253;
const validKey = /^(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}$/;

/**
 * The key of a Secret for a label: a valid one as it is, otherwise made valid. May be empty, when nothing of the label is left.
 * Same labels, same keys as the old operator; dots at the start, which it let the API server refuse, are dropped.
 */
export function secretKey(label: string): string {
  if (validKey.test(label)) return label;
  // Parts joined, not ends trimmed: a pattern for the end of a text takes time by the square of a long run that is not at the end.
  const parts = label.match(/[-._a-zA-Z0-9]+/g) ?? [];
  return parts
    .join('-')
    .replace(/^(?:\.\.+|\.$)/, '')
    .slice(0, maxLength);
}
