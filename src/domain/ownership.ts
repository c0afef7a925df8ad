import { annotations } from '../api/names.ts';
import type { OwnerReference } from './object.ts';

/** What decides whose a Secret is. */
export interface SecretIdentity {
  readonly ownerReferences: readonly OwnerReference[];
  readonly annotations: Readonly<Record<string, string>>;
}

export type Ownership =
  { readonly ours: true } | { readonly ours: false; /** Who owns it, if anybody. */ readonly holder: string | undefined };

/**
 * Whether we may write a Secret for `owner`: it carries the owner's uid; or that of an owner of the same kind and name, who must
 * be dead, since names are unique; or nobody owns it and it is marked for adoption, or holds the same item by the old operator's hand.
 */
export function secretOwnership(secret: SecretIdentity, owner: OwnerReference, itemPath: string): Ownership {
  if (secret.ownerReferences.some((reference) => reference.uid === owner.uid || sameName(reference, owner))) return { ours: true };
  const [holder] = secret.ownerReferences;
  if (holder !== undefined) return { ours: false, holder: `${holder.kind} ${holder.name}` };
  const marks = secret.annotations;
  const adopted = marks[annotations.adopt] === 'true';
  const sameItem = marks[annotations.itemPath] === itemPath && marks[annotations.itemVersion] !== undefined;
  return adopted || sameItem ? { ours: true } : { ours: false, holder: undefined };
}

/** True when two references name one object, living or dead. */
export function sameName(a: OwnerReference, b: OwnerReference): boolean {
  return a.kind === b.kind && a.name === b.name && group(a) === group(b);
}

function group({ apiVersion }: OwnerReference): string {
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}
