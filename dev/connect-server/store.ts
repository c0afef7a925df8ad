import { randomId } from './ids.ts';
import { type Item, type ItemDraft, itemContentSchema, type Vault } from './item.ts';
import { completeContent, contentOf, type ItemContent, patchDocument } from './item-edit.ts';
import { applyPatch, type PatchOperation } from './patch.ts';

/** An edit of something that is not there, or of something that is there already. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
}

/** What can be asked of the store, live or as it was at one moment. Everything handed out is never changed in place. */
export interface StoreView {
  vaults(): readonly Vault[];
  /** By id only, as the API does. */
  findVault(vaultId: string): Vault | undefined;
  /** By ids only; archived items included. */
  findItem(vaultId: string, itemId: string): Item | undefined;
  /** What a listing shows: all items but the archived ones, in the order in which they were made here. */
  activeItems(vaultId: string): readonly Item[];
}

export interface VaultDraft {
  readonly id?: string;
  readonly name: string;
  readonly description?: string;
  readonly type?: 'USER_CREATED' | 'PERSONAL' | 'EVERYONE' | 'TRANSFER';
  /** Set to pretend an old vault, in ISO 8601; else now. */
  readonly createdAt?: string;
}

/** What an edit may say of a vault. */
export type VaultChanges = Partial<Pick<VaultDraft, 'name' | 'description'>>;

/** What an edit may say of an item: not what it has from its creation on. */
export type ItemChanges = Omit<ItemDraft, 'id' | 'state' | 'createdAt'>;

/**
 * The vaults and items of the server, in memory. A vault is named by id or name, an item by id or title (the first made of that title).
 * An edit of an item moves its `version` by 1 and its `updatedAt`, and the vault's `contentVersion` by 1 and its `updatedAt`.
 * Edits throw StoreError when what they name does not exist.
 */
export interface Store extends StoreView {
  vault(vault: string): Vault;
  item(vault: string, item: string): Item;
  createVault(draft: VaultDraft): Vault;
  /** Renames or describes anew: moves `attributeVersion`, not `contentVersion`. */
  updateVault(vault: string, changes: VaultChanges): Vault;
  renameVault(vault: string, name: string): Vault;
  /** The vault answers 404 from now on, and its items with it. */
  deleteVault(vault: string): void;
  createItem(vault: string, draft: ItemDraft): Item;
  /** Replaces all content; files stay unless the draft has `files`, as the API cannot change them. */
  replaceItem(vault: string, item: string, draft: ItemChanges): Item;
  /** Replaces what `changes` names and leaves the rest. */
  updateItem(vault: string, item: string, changes: Partial<ItemChanges>): Item;
  renameItem(vault: string, item: string, title: string): Item;
  /** An empty patch changes nothing, the version neither. Throws PatchError or a ZodError when the result is no item. */
  patchItem(vault: string, item: string, operations: readonly PatchOperation[]): Item;
  /** Sets the value of the first field with this label, or adds a concealed field. */
  setField(vault: string, item: string, label: string, value: string): Item;
  /** The item leaves the listings and still answers by id. */
  archiveItem(vault: string, item: string): Item;
  restoreItem(vault: string, item: string): Item;
  /** The item answers 404 from now on. */
  deleteItem(vault: string, item: string): void;
  /** Takes an item from one vault to another, as 1Password does: as a new item there, with an id of its own, and the old one is deleted. */
  moveItem(from: string, to: string, item: string): Item;
  /** The store as it is now, unaffected by later edits. */
  snapshot(): StoreView;
}

interface VaultState {
  vault: Vault;
  readonly items: Map<string, Item>;
}

const emptyContent = { favorite: false, tags: [], urls: [], sections: [], fields: [] };

/** An empty store; `clock` gives milliseconds since the epoch. */
export function createStore(clock: () => number): Store {
  const states = new Map<string, VaultState>();
  const now = () => new Date(clock()).toISOString();

  function requireVault(vault: string): VaultState {
    const state = states.get(vault) ?? findByName(states, vault);
    if (state === undefined) throw new StoreError(`there is no vault ${vault}`);
    return state;
  }

  function requireItem(state: VaultState, item: string): Item {
    const found = state.items.get(item) ?? findByTitle(state.items, item);
    if (found === undefined) throw new StoreError(`there is no item ${item} in the vault ${state.vault.name}`);
    return found;
  }

  function contentMoved(state: VaultState, activeDelta: number): void {
    const { contentVersion, items } = state.vault;
    state.vault = { ...state.vault, contentVersion: contentVersion + 1, items: items + activeDelta, updatedAt: now() };
  }

  function edit(vault: string, item: string, change: (before: Item) => EditedItem): Item {
    const state = requireVault(vault);
    const before = requireItem(state, item);
    const after: Item = { version: before.version + 1, ...change(before), updatedAt: now() };
    state.items.set(after.id, after);
    contentMoved(state, activeCount(after) - activeCount(before));
    return after;
  }

  function updateItem(vault: string, item: string, changes: Partial<ItemChanges>): Item {
    return edit(vault, item, (before) => ({
      ...identityOf(before),
      ...completeContent({ ...contentOf(before), ...changes }),
      ...versionOf(changes),
    }));
  }

  function updateVault(vault: string, changes: VaultChanges): Vault {
    const state = requireVault(vault);
    state.vault = { ...state.vault, ...changes, attributeVersion: state.vault.attributeVersion + 1, updatedAt: now() };
    return state.vault;
  }

  function createItem(vault: string, draft: ItemDraft): Item {
    const state = requireVault(vault);
    const id = draft.id ?? randomId();
    if (state.items.has(id)) throw new StoreError(`there is an item ${id} already`);
    const item: Item = {
      id,
      vault: { id: state.vault.id },
      ...completeContent(draft),
      version: draft.version ?? 1,
      ...(draft.state === undefined ? {} : { state: draft.state }),
      createdAt: draft.createdAt ?? now(),
      updatedAt: now(),
    };
    state.items.set(id, item);
    contentMoved(state, activeCount(item));
    return item;
  }

  function deleteItem(vault: string, item: string): Item {
    const state = requireVault(vault);
    const before = requireItem(state, item);
    state.items.delete(before.id);
    contentMoved(state, -activeCount(before));
    return before;
  }

  return {
    ...viewOf(states),
    vault: (vault) => requireVault(vault).vault,
    item: (vault, item) => requireItem(requireVault(vault), item),

    createVault(draft) {
      const id = draft.id ?? randomId();
      if (states.has(id)) throw new StoreError(`there is a vault ${id} already`);
      const vault: Vault = {
        id,
        name: draft.name,
        description: draft.description ?? '',
        type: draft.type ?? 'USER_CREATED',
        attributeVersion: 1,
        contentVersion: 1,
        items: 0,
        createdAt: draft.createdAt ?? now(),
        updatedAt: now(),
      };
      states.set(id, { vault, items: new Map() });
      return vault;
    },

    updateVault,
    renameVault: (vault, name) => updateVault(vault, { name }),

    deleteVault(vault) {
      states.delete(requireVault(vault).vault.id);
    },

    createItem,

    replaceItem(vault, item, draft) {
      return edit(vault, item, (before) => ({
        ...identityOf(before),
        ...completeContent({ ...draft, files: draft.files ?? before.files }),
        ...versionOf(draft),
      }));
    },

    updateItem,
    renameItem: (vault, item, title) => updateItem(vault, item, { title }),

    patchItem(vault, item, operations) {
      const before = requireItem(requireVault(vault), item);
      if (operations.length === 0) return before;
      const { title, ...content } = itemContentSchema.parse(applyPatch(patchDocument(before), operations));
      return updateItem(vault, item, { ...emptyContent, ...content, title: title ?? '' });
    },

    setField(vault, item, label, value) {
      const { fields } = requireItem(requireVault(vault), item);
      const index = fields.findIndex((field) => field.label === label);
      const changed = { ...(fields[index] ?? { id: randomId(), label, type: 'CONCEALED' }), value };
      return updateItem(vault, item, { fields: index < 0 ? [...fields, changed] : fields.with(index, changed) });
    },

    archiveItem: (vault, item) => edit(vault, item, (before) => ({ ...identityOf(before), ...contentOf(before), state: 'ARCHIVED' })),

    restoreItem: (vault, item) =>
      edit(vault, item, (before) => {
        const { state: _, ...identity } = identityOf(before);
        return { ...identity, ...contentOf(before) };
      }),

    deleteItem,

    moveItem(from, to, item) {
      requireVault(to);
      const before = deleteItem(from, item);
      return createItem(to, { ...contentOf(before), ...(before.state === undefined ? {} : { state: before.state }) });
    },

    snapshot() {
      return viewOf(new Map(Array.from(states, ([id, { vault, items }]) => [id, { vault, items: new Map(items) }])));
    },
  };
}

function viewOf(states: ReadonlyMap<string, VaultState>): StoreView {
  return {
    vaults: () => Array.from(states.values(), ({ vault }) => vault),
    findVault: (vaultId) => states.get(vaultId)?.vault,
    findItem: (vaultId, itemId) => states.get(vaultId)?.items.get(itemId),
    activeItems: (vaultId) => [...(states.get(vaultId)?.items.values() ?? [])].filter((item) => item.state === undefined),
  };
}

type ItemIdentity = Pick<Item, 'id' | 'vault' | 'createdAt' | 'state'>;
type EditedItem = ItemIdentity & ItemContent & { readonly version?: number };

function identityOf({ id, vault, createdAt, state }: Item): ItemIdentity {
  return { id, vault, createdAt, ...(state === undefined ? {} : { state }) };
}

function versionOf({ version }: Pick<ItemDraft, 'version'>): { readonly version?: number } {
  return version === undefined ? {} : { version };
}

function activeCount(item: Item): number {
  return item.state === undefined ? 1 : 0;
}

function findByName(states: ReadonlyMap<string, VaultState>, name: string): VaultState | undefined {
  for (const state of states.values()) if (state.vault.name === name) return state;
  return undefined;
}

function findByTitle(items: ReadonlyMap<string, Item>, title: string): Item | undefined {
  for (const item of items.values()) if (item.title === title) return item;
  return undefined;
}
