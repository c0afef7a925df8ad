import { Failure } from '../api/reasons.ts';
import { itemPathPattern } from '../api/onepassword-item.ts';

/** What `spec.itemPath` says: each part is an id, or a name or title taken as it is. */
export interface ItemPath {
  readonly vault: string;
  readonly item: string;
}

const pattern = new RegExp(itemPathPattern, 's');

/** @throws Failure `InvalidItemPath` when the path is absent or of another form */
export function parseItemPath(path: string | undefined): ItemPath {
  const [, vault, item] = pattern.exec(path ?? '') ?? [];
  if (vault === undefined || item === undefined) {
    throw new Failure('InvalidItemPath', 'spec.itemPath must be vaults/<id or name>/items/<id or title>');
  }
  return { vault, item };
}

/** True for what `parseItemPath` can read. */
export function isItemPath(path: string | undefined): boolean {
  return pattern.test(path ?? '');
}
