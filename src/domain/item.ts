import type { SecretValue } from './secret-value.ts';

/** An item as the reconciler needs it: every value wrapped, everything else about it dropped. */
export interface Item {
  readonly id: string;
  readonly vaultId: string;
  readonly version: number;
  /** It carries the freezing tag: a Secret made of it keeps its values. */
  readonly frozen: boolean;
  readonly urls: readonly { readonly label: string; readonly primary: boolean; readonly value: SecretValue }[];
  /** `type` as on the wire, for instance `STRING`, `CONCEALED` or `OTP`. */
  readonly fields: readonly { readonly label: string; readonly type: string; readonly value: SecretValue }[];
  readonly files: readonly ItemFile[];
}

export interface ItemFile {
  readonly id: string;
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/** An item as a vault's listing gives it. */
export interface ItemSummary {
  readonly id: string;
  readonly title: string;
  readonly version: number;
  /** Milliseconds since the epoch; 0 when Connect did not say. */
  readonly createdAt: number;
  /** When it came to be at this version, by 1Password's clock: as `createdAt`. */
  readonly updatedAt: number;
  /** It carries the freezing tag. */
  readonly frozen: boolean;
}

export interface Vault {
  readonly id: string;
  readonly name: string;
  /** Moves with every change of the vault's contents. */
  readonly contentVersion: number;
  /** Milliseconds since the epoch; 0 when Connect did not say. */
  readonly createdAt: number;
}
