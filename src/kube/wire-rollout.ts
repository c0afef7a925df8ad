import { z } from 'zod';
import type { WireObject } from './resource.ts';
import type { WireWorkload } from './wire-workload.ts';

/** As if it were not there, when it is null or of another kind. */
const part = <S extends z.ZodType>(schema: S) => schema.nullish().catch(undefined);

const text = part(z.string());
const number = part(z.number());
const yesOrNo = part(z.boolean());
const texts = part(z.record(z.string(), z.string()));
const parts = <S extends z.ZodRawShape>(shape: S) => part(z.object(shape));
const list = <S extends z.ZodRawShape>(shape: S) => part(z.array(z.object(shape)));

const files = { items: list({ key: text, path: text }), optional: yesOrNo };
const containers = list({
  env: list({ valueFrom: parts({ secretKeyRef: parts({ name: text, key: text, optional: yesOrNo }) }) }),
  envFrom: list({ secretRef: parts({ name: text, optional: yesOrNo }) }),
  volumeMounts: list({ name: text, subPath: text, subPathExpr: text }),
});
const volumes = list({
  name: text,
  secret: parts({ secretName: text, ...files }),
  projected: parts({ sources: list({ secret: parts({ name: text, ...files }) }) }),
});

const rollout = z.object({
  spec: parts({
    replicas: number,
    selector: parts({
      matchLabels: texts,
      matchExpressions: part(z.array(z.object({ key: z.string(), operator: z.string(), values: part(z.array(z.string())) }))),
    }),
    paused: yesOrNo,
    template: parts({ metadata: parts({ annotations: texts }), spec: parts({ containers, initContainers: containers, volumes }) }),
    updateStrategy: parts({ type: text, rollingUpdate: parts({ partition: number }) }),
    workloadRef: parts({ kind: text, name: text }),
    restartAt: text,
  }),
  status: parts({
    observedGeneration: part(z.union([z.number(), z.string()])),
    replicas: number,
    updatedReplicas: number,
    availableReplicas: number,
    conditions: list({ type: text, reason: text }),
    phase: text,
    restartedAt: text,
    stableRS: text,
  }),
});

/**
 * An Argo Rollout as a workload. Its definition need not say of what kind each part is, and somebody may write anything there; of the kinds of
 * Kubernetes itself the API server has checked it all.
 */
export function readRollout(object: WireObject): WireWorkload {
  const { spec, status } = rollout.parse(object);
  return withoutNulls({ metadata: object.metadata, spec, status }) as WireWorkload;
}

/** Parts that are null are parts that are absent, for whoever gives those a default. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, held]) => held !== null && held !== undefined);
  return Object.fromEntries(entries.map(([key, held]) => [key, withoutNulls(held)]));
}
