/** What was made, to be undone in the opposite order. */
export interface Cleanup {
  /** Remembers how to undo something; `what` names it, such as `namespace keyturn-demo-x`. */
  defer(what: string, undo: () => Promise<void>): void;
  /** What would be left if the process ended now, last made first. */
  pending(): readonly string[];
  /** Undoes everything, whatever becomes of the parts. @returns what went wrong, a line each */
  run(onPart: (what: string) => void): Promise<readonly string[]>;
}

export function createCleanup(): Cleanup {
  const parts: { readonly what: string; readonly undo: () => Promise<void> }[] = [];
  return {
    defer: (what, undo) => void parts.push({ what, undo }),
    pending: () => parts.map(({ what }) => what).toReversed(),
    async run(onPart) {
      const problems: string[] = [];
      for (let part = parts.at(-1); part !== undefined; part = parts.at(-1)) {
        onPart(part.what);
        await part.undo().catch((error: unknown) => problems.push(error instanceof Error ? error.message : `${part?.what} failed`));
        parts.pop();
      }
      return problems;
    },
  };
}
