import { z } from 'zod';

/** A patch as the API takes it: add, remove and replace of RFC 6902. */
export const patchSchema = z
  .array(z.object({ op: z.enum(['add', 'remove', 'replace']), path: z.string(), value: z.unknown().optional() }))
  .max(1000);

export type PatchOperation = z.input<typeof patchSchema>[number];

/** A patch that does not fit the item; the message says which operation and why, and quotes no value. */
export class PatchError extends Error {
  override readonly name = 'PatchError';
}

/** The editable attributes of an item, as plain JSON. */
export type PatchDocument = Record<string, unknown>;

const attributes = new Set(['title', 'category', 'favorite', 'tags', 'urls', 'sections', 'fields']);
/** Lists whose entries are addressed by their id, as `/fields/{fieldId}`. */
const listsById = new Set(['fields', 'sections']);

/**
 * Applies all operations to a copy, or none: the document given stays as it is. The result is not yet validated.
 * @throws PatchError
 */
export function applyPatch(document: PatchDocument, operations: readonly PatchOperation[]): PatchDocument {
  return structuredClone(operations).reduce<PatchDocument>(applyOperation, structuredClone(document));
}

function applyOperation(document: PatchDocument, operation: PatchOperation): PatchDocument {
  if (operation.op !== 'remove' && operation.value === undefined) throw refusal(operation, 'a value is required');
  if (operation.path === '' || operation.path === '/') return replaceDocument(operation);
  const [attribute = '', ...rest] = segmentsOf(operation);
  if (!attributes.has(attribute)) throw refusal(operation, 'no such attribute, or it is read-only');
  if (rest.length === 0) editAttribute(document, attribute, operation);
  else editInside(document, attribute, rest, operation);
  return document;
}

function replaceDocument(operation: PatchOperation): PatchDocument {
  if (operation.op === 'remove') throw refusal(operation, 'an item is removed by DELETE');
  if (!isObject(operation.value)) throw refusal(operation, 'the value has to be an item');
  return operation.value;
}

/** `add` of one entry to a list attribute appends it: that is how the API adds a field to `/fields`. */
function editAttribute(document: PatchDocument, attribute: string, operation: PatchOperation): void {
  const current = document[attribute];
  if (operation.op === 'add' && Array.isArray(current) && !Array.isArray(operation.value)) current.push(operation.value);
  else if (operation.op === 'remove') delete document[attribute];
  else document[attribute] = operation.value;
}

function editInside(document: PatchDocument, attribute: string, rest: readonly string[], operation: PatchOperation): void {
  const byId = listsById.has(attribute);
  const last = rest.at(-1) ?? '';
  let parent = document[attribute];
  for (const segment of rest.slice(0, -1)) {
    parent = Array.isArray(parent) ? parent[entryIndex(parent, segment, byId, operation)] : memberOf(parent, segment);
  }
  if (Array.isArray(parent)) editList(parent, last, byId, operation);
  else if (isObject(parent)) editMember(parent, last, operation);
  else throw refusal(operation, 'there is nothing at this path');
}

function editList(list: unknown[], segment: string, byId: boolean, operation: PatchOperation): void {
  const appends = operation.op === 'add' && (segment === '-' || (byId ? findById(list, segment) < 0 : segment === String(list.length)));
  if (appends) {
    list.push(byId && segment !== '-' ? withId(operation.value, segment) : operation.value);
    return;
  }
  const index = entryIndex(list, segment, byId, operation);
  if (operation.op === 'remove') list.splice(index, 1);
  else if (byId) list[index] = withId(operation.value, segment);
  else list.splice(index, operation.op === 'replace' ? 1 : 0, operation.value);
}

function editMember(object: Record<string, unknown>, member: string, operation: PatchOperation): void {
  if (member === '__proto__') throw refusal(operation, 'no such attribute');
  if (operation.op === 'add') object[member] = operation.value;
  else if (!Object.hasOwn(object, member)) throw refusal(operation, 'there is nothing at this path');
  else if (operation.op === 'remove') delete object[member];
  else object[member] = operation.value;
}

function entryIndex(list: readonly unknown[], segment: string, byId: boolean, operation: PatchOperation): number {
  const index = byId ? findById(list, segment) : /^(?:0|[1-9]\d{0,5})$/.test(segment) ? Number(segment) : -1;
  if (index < 0 || index >= list.length)
    throw refusal(operation, byId ? `there is no entry with the id ${segment}` : 'there is no such entry');
  return index;
}

function findById(list: readonly unknown[], id: string): number {
  return list.findIndex((entry) => isObject(entry) && entry['id'] === id);
}

function withId(value: unknown, id: string): unknown {
  return isObject(value) ? { ...value, id } : value;
}

function memberOf(parent: unknown, member: string): unknown {
  return isObject(parent) && Object.hasOwn(parent, member) ? parent[member] : undefined;
}

function segmentsOf(operation: PatchOperation): string[] {
  if (!operation.path.startsWith('/')) throw refusal(operation, 'a path starts with a slash');
  return operation.path
    .slice(1)
    .split('/')
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refusal(operation: PatchOperation, why: string): PatchError {
  return new PatchError(`cannot ${operation.op} ${operation.path}: ${why}`);
}
