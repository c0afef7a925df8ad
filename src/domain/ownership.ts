import { annotations } from '../api/names.ts';
import type { OwnerReference } from './object.ts';

/** What decides whose a Secret is. */
export interface SecretIdentity {
  readonly ownerReferences: readonly OwnerReference[];
  readonly annotations: Readonly<Record<string, string>>;
}

export type Ownership = { readonly ours: true } | { readonly ours: false; readonly holder: string };

/**
 * Whether we may write a Secret for `owner`: it carries the owner's uid; or that of an owner of the same kind and name, who must
 * be dead, since names are unique; or nobody owns it and it is marked for adoption, or holds the same item by the old operator's hand.
 */
export function secretOwnership(secret: SecretIdentity, owner: OwnerReference, itemPath: string): Ownership {
  const sameName = (reference: OwnerReference): boolean =>
    reference.kind === owner.kind && reference.name === owner.name && group(reference) === group(owner);
  if (secret.ownerReferences.some((reference) => reference.uid === owner.uid || sameName(reference))) return { ours: true };
  const [holder] = secret.ownerReferences;
  if (holder !== undefined) return { ours: false, holder: `${holder.kind} ${holder.name}` };
  const marks = secret.annotations;
  const adopted = marks[annotations.adopt] === 'true';
  const sameItem = marks[annotations.itemPath] === itemPath && marks[annotations.itemVersion] !== undefined;
  return adopted || sameItem ? { ours: true } : { ours: false, holder: 'nobody we know' };
}

function group({ apiVersion }: OwnerReference): string {
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}
