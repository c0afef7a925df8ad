/** So many are worth naming. */
const most = 3;

/**
 * Titles that somebody who wrote `wanted` may have meant: the same but for capital letters, spaces or punctuation, one that begins with the
 * other, or a slip of a letter or two; the closest first.
 */
export function similarTitles(wanted: string, titles: Iterable<string>): readonly string[] {
  const similar: { readonly title: string; readonly distance: number }[] = [];
  const plain = simplify(wanted);
  for (const title of titles) {
    const distance = distanceOf(plain, simplify(title));
    if (distance !== undefined) similar.push({ title, distance });
  }
  return similar
    .toSorted((a, b) => a.distance - b.distance || a.title.length - b.title.length)
    .slice(0, most)
    .map(({ title }) => title);
}

function simplify(title: string): string {
  return title.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}

/** 0 is the same, 3 is the furthest that counts; undefined is another title altogether. */
function distanceOf(a: string, b: string): number | undefined {
  if (a === '' || b === '') return undefined;
  if (a === b) return 0;
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  const slips = long.length - short.length > 2 || long.length > 64 ? 3 : editDistance(short, long);
  if (slips <= 2 && slips < short.length / 2) return slips;
  return short.length >= 2 && long.startsWith(short) ? 3 : undefined;
}

/** How many letters have to be added, dropped or replaced (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
