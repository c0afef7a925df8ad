import { Failure } from '../api/reasons.ts';
import { fieldManager } from '../api/names.ts';
import type { SecretContent, SecretState } from '../domain/secret-plan.ts';
import { SecretValue } from '../domain/secret-value.ts';
import { type KubeClient, KubeError } from './client.ts';
import { type ManagedSecret, reduceSecret } from './objects.ts';
import { collectionPath, objectPath, secrets, type WireMeta, type WireObject } from './resource.ts';

/** A Secret read in full, for the length of one reconcile. */
export interface FullSecret extends SecretState, ManagedSecret {
  /** `metadata` as it was read, to be written back with what we change in it. */
  readonly wireMeta: WireMeta;
}

interface WireSecret extends WireObject {
  readonly type?: string;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
}

type Name = { readonly namespace: string; readonly name: string };

/** Undefined when there is none. @throws Failure when we may not read it; KubeError otherwise */
export async function readSecret(client: KubeClient, name: Name, signal: AbortSignal): Promise<FullSecret | undefined> {
  try {
    const secret = await client.request<WireSecret>({ method: 'GET', path: objectPath(secrets, name), signal });
    return {
      ...reduceSecret(secret),
      type: secret.type ?? 'Opaque',
      immutable: secret.immutable ?? false,
      data: new Map(Object.entries(secret.data ?? {}).map(([key, value]) => [key, SecretValue.fromBase64(value)])),
      wireMeta: secret.metadata,
    };
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw toFailure(error);
  }
}

/** A Secret without its values. Undefined when there is none. @throws Failure when we may not read it; KubeError otherwise */
export async function readSecretMetadata(client: KubeClient, name: Name, signal: AbortSignal): Promise<ManagedSecret | undefined> {
  try {
    const path = objectPath(secrets, name);
    return reduceSecret(await client.request<WireObject>({ method: 'GET', path, signal, accept: metadataAccept }));
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw toFailure(error);
  }
}

/** Undefined when one exists already. @throws Failure when the API server refuses the content; KubeError otherwise */
export async function createSecret(
  client: KubeClient,
  name: Name,
  content: SecretContent,
  signal: AbortSignal,
): Promise<ManagedSecret | undefined> {
  try {
    return await write(
      client,
      'POST',
      collectionPath(secrets, name.namespace),
      { ...metadata(content), namespace: name.namespace, name: name.name },
      content,
      signal,
    );
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'AlreadyExists') return undefined;
    throw error;
  }
}

/** Replaces what was read, unless somebody was faster (KubeError 409). @throws Failure, KubeError */
export function replaceSecret(client: KubeClient, before: FullSecret, content: SecretContent, signal: AbortSignal): Promise<ManagedSecret> {
  const meta = { ...before.wireMeta, ...metadata(content), managedFields: undefined };
  return write(client, 'PUT', objectPath(secrets, before), meta, content, signal, before.immutable);
}

function metadata({ labels, annotations, ownerReferences }: SecretContent): object {
  return { labels, annotations, ownerReferences };
}

async function write(
  client: KubeClient,
  method: 'POST' | 'PUT',
  path: string,
  meta: object,
  { type, data }: SecretContent,
  signal: AbortSignal,
  immutable = false,
): Promise<ManagedSecret> {
  const body = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: meta,
    type,
    ...(immutable && { immutable }),
    data: Object.fromEntries([...data].map(([key, value]) => [key, value.exposeBase64()])),
  };
  try {
    return reduceSecret(await client.request<WireSecret>({ method, path, query: { fieldManager }, body, signal, accept: metadataAccept }));
  } catch (error) {
    throw toFailure(error);
  }
}

/** The answer to a write need not bring the values back. */
const metadataAccept = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

function toFailure(error: unknown): unknown {
  if (!(error instanceof KubeError)) return error;
  switch (error.status) {
    case 403:
      return new Failure(
        'KubernetesForbidden',
        'the API server forbids reading or writing the Secret; check the RBAC of the operator, admission policies, and whether the namespace is being deleted',
      );
    case 413:
      return new Failure('SecretTooLarge', 'the item is larger than the 1 MiB a Secret can hold; remove files or fields from it');
    case 400:
    case 422:
      return new Failure(
        'SecretInvalid',
        'the API server refuses the Secret; check that the item has the keys that the type needs, and what admission webhooks say of Secrets',
      );
    default:
      return error;
  }
}
