import { readFileSync, statSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import type { VaultPolicy } from './domain/vault-policy.ts';

/** In bytes. */
const maxSize = 1024 * 1024;

const namespacePattern = z.string().regex(/^[-a-z0-9*]{1,63}$/, 'must be the name of a namespace, in which * stands for any characters');

export const vaultPolicySchema: z.ZodType<VaultPolicy> = z.array(
  z.strictObject({
    namespaces: z.array(namespacePattern).min(1),
    vaults: z.array(z.string().trim().min(1)).min(1),
  }),
);

/** What the config file says of vaults: a policy, nothing, or something that cannot be read. */
export type VaultPolicyFile = { readonly policy: VaultPolicy | undefined } | { readonly problem: string };

/** Reads `vaultPolicy` out of the config file, in YAML; everything else in it is left alone. */
export function readVaultPolicy(path: string): VaultPolicyFile {
  let text: string;
  try {
    const found = statSync(path);
    if (!found.isFile() || found.size > maxSize) return { problem: `it is no regular file of at most ${maxSize / 1024 ** 2} MiB` };
    text = readFileSync(path, 'utf8');
  } catch {
    return { problem: 'it cannot be read' };
  }
  let document: unknown;
  try {
    document = parse(text, { logLevel: 'error' });
  } catch {
    return { problem: 'it is not YAML' };
  }
  // Nothing at all is more likely a file in the making than the wish that everything be allowed.
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return { problem: 'it holds no settings' };
  if (!('vaultPolicy' in document)) return { policy: undefined };
  const result = vaultPolicySchema.safeParse(document.vaultPolicy);
  if (result.success) return { policy: result.data };
  const [issue] = result.error.issues;
  return { problem: `vaultPolicy${issue === undefined ? '' : place(issue.path)}: ${issue?.message ?? 'it cannot be read'}` };
}

/** `[0].namespaces[1]`. */
function place(path: readonly PropertyKey[]): string {
  return path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
}
