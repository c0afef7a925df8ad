import { entropyOf } from './generate.ts';
import type { Field, Item, StoredFile, Vault } from './item.ts';
import type { StoreView } from './store.ts';
import { oneTimeCode } from './totp.ts';

/** Everything here is edited by one made-up user. */
const editor = 'KEYTURNDEVCONNECTSERVERAAA';

const summaries = new WeakMap<Item, string>();
const listings = new WeakMap<Vault, Buffer>();

/**
 * The serialised listing of a vault's active items. It is made once per content version, since a stored vault is a new object after each edit,
 * and from summaries made once per item version: so listing ten thousand items again after one edit costs little more than joining them.
 */
export function serialisedListing(view: StoreView, vault: Vault): Buffer {
  const known = listings.get(vault);
  if (known !== undefined) return known;
  const listing = serialiseSummaries(view.activeItems(vault.id));
  listings.set(vault, listing);
  return listing;
}

/** Some items as a listing shows them, serialised. */
export function serialiseSummaries(items: readonly Item[]): Buffer {
  return Buffer.from(`[${items.map(serialisedSummary).join(',')}]`);
}

/** An item in full. One-time codes are computed for `now`, in milliseconds. */
export function wireItem(item: Item, now: number): object {
  return {
    ...summaryOf(item),
    ...(item.sections.length === 0 ? {} : { sections: item.sections }),
    ...(item.fields.length === 0 ? {} : { fields: item.fields.map((field) => wireField(field, now)) }),
    ...(item.files.length === 0 ? {} : { files: item.files.map((file) => wireFile(item, file)) }),
  };
}

/** A file's details, with its content in base64 when it is inlined. */
export function wireFile(item: Item, file: StoredFile, inline = false): object {
  return {
    id: file.id,
    name: file.name,
    size: file.content.length,
    content_path: `/v1/vaults/${item.vault.id}/items/${item.id}/files/${file.id}/content`,
    ...(file.section === undefined ? {} : { section: file.section }),
    ...(inline ? { content: file.content.toString('base64') } : {}),
  };
}

function serialisedSummary(item: Item): string {
  const known = summaries.get(item);
  if (known !== undefined) return known;
  const summary = JSON.stringify(summaryOf(item));
  summaries.set(item, summary);
  return summary;
}

/** Empty lists are left out, as Connect does. */
function summaryOf(item: Item): object {
  const { id, title, version, vault, category, favorite, tags, urls, state, createdAt, updatedAt } = item;
  return {
    id,
    title,
    ...(favorite ? { favorite } : {}),
    ...(tags.length === 0 ? {} : { tags }),
    version,
    vault,
    category,
    ...(urls.length === 0 ? {} : { urls }),
    ...(state === undefined ? {} : { state }),
    lastEditedBy: editor,
    createdAt,
    updatedAt,
  };
}

function wireField(field: Field, now: number): object {
  const { value } = field;
  if (value === undefined) return field;
  if (field.type === 'OTP') return { ...field, totp: oneTimeCode(value, now) };
  return field.purpose === 'PASSWORD' ? { ...field, entropy: entropyOf(value) } : field;
}
