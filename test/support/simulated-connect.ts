import type { Exchange } from './simulated-network.ts';

/** A Connect server with one vault, `main`. */
export interface SimulatedConnect {
  serve(exchange: Exchange): void;
  /** Saves an item in a new version; the fields are by label. */
  save(title: string, fields: Readonly<Record<string, string>>): void;
  fieldsOf(title: string): Readonly<Record<string, string>>;
}

interface Item {
  readonly id: string;
  readonly title: string;
  readonly version: number;
  readonly fields: Readonly<Record<string, string>>;
}

const vaultId = 'vault'.padEnd(26, '0');

export function createSimulatedConnect(): SimulatedConnect {
  const items = new Map<string, Item>();
  let contentVersion = 1;

  const summary = ({ id, title, version }: Item): object => ({ id, title, version, vault: { id: vaultId }, category: 'LOGIN' });

  return {
    serve(exchange) {
      const [, vaults, vault, list, id] = exchange.path.slice(1).split('/');
      const item = items.values().find((one) => one.id === id);
      if (vaults !== 'vaults') exchange.answer(404, {});
      else if (vault === undefined) exchange.answer(200, [{ id: vaultId, name: 'main', contentVersion }]);
      else if (list === 'items' && id === undefined) exchange.answer(200, items.values().map(summary).toArray());
      else if (item === undefined) exchange.answer(404, {});
      else {
        const fields = Object.entries(item.fields).map(([label, value]) => ({ id: label, label, value, type: 'CONCEALED' }));
        exchange.answer(200, { ...summary(item), fields });
      }
    },
    save(title, fields) {
      contentVersion += 1;
      const { id, version } = items.get(title) ?? { id: `item${title}`.padEnd(26, '0'), version: 0 };
      items.set(title, { id, title, version: version + 1, fields });
    },
    fieldsOf: (title) => items.get(title)?.fields ?? {},
  };
}
