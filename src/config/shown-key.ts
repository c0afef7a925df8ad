/**
 * A key of the file for a problem, in quotes. Where a space is missing after a colon, or a text is in the wrong place, a value becomes part of a key:
 * what does not look like the name of a setting is not told.
 */
export function shownKey(key: string): string {
  return /^[a-z0-9_-]{1,40}$/i.test(key) ? JSON.stringify(key) : 'a key that is not shown here';
}
