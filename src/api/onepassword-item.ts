import { z } from 'zod';

/** Vault: everything up to the first `/items/`; item: everything after it, as it is. RE2 and JavaScript read it alike. */
export const itemPathPattern = '^vaults/(.+?)/items/(.+)$';

const celRules = [
  {
    rule: `self.matches('(?s)${itemPathPattern}')`,
    message: 'must be vaults/<id or name>/items/<id or title>',
  },
];

export const conditionSchema = z.object({
  type: z.string().describe('What the condition is about, in CamelCase.'),
  status: z.string().describe('True, False or Unknown.'),
  reason: z.string().optional().describe('Why, as one CamelCase word; the list with cures is in the reference of reasons.'),
  message: z.string().optional().describe('Why, in a sentence for people, with what to do next.'),
  lastTransitionTime: z.iso.datetime().nullish().describe('When the status last changed.'),
  observedGeneration: z.int().optional().describe('The generation of the resource that the condition speaks of.'),
});
export type Condition = z.infer<typeof conditionSchema>;

export const itemStatusSchema = z.object({
  path: z.string().describe('The spec.itemPath that was resolved to the ids below.'),
  vaultId: z.string().describe('Id of the vault.'),
  id: z.string().describe('Id of the item.'),
  version: z.int().describe("The item's version whose values the Secret holds."),
});
export type ItemStatus = z.infer<typeof itemStatusSchema>;

export const secretStatusSchema = z.object({
  name: z.string().describe('Name of the Secret, which is that of the resource.'),
  resourceVersion: z.string().describe('resourceVersion of the Secret after the last write.'),
  dataWriters: z.string().optional().describe('Who wrote the values, and when, as the field managers of the Secret tell it.'),
  revisions: z
    .record(z.string(), z.int())
    .optional()
    .describe(
      'When each key last changed, as milliseconds since the Unix epoch: below 0 for one that was removed, * for the whole Secret.',
    ),
});
export type SecretStatus = z.infer<typeof secretStatusSchema>;

/** What a Secret holds, as it is recorded beside it: in the status of a resource, or in an annotation of a Deployment. */
export const secretRecordSchema = z.object({ item: itemStatusSchema, secret: secretStatusSchema });
export type SecretRecord = z.infer<typeof secretRecordSchema>;

export const consumerStatusSchema = z.object({
  current: z.int().describe('How many have what the Secret holds.'),
  waiting: z.int().describe('How many wait for a restart, or are in one.'),
});
export type ConsumerStatus = z.infer<typeof consumerStatusSchema>;

export const statusSchema = z.object({
  observedGeneration: z.int().optional().describe('The generation of the resource that was last acted upon.'),
  conditions: z.array(conditionSchema).optional().describe('Ready says whether the Secret is equal to the item.'),
  item: itemStatusSchema.optional().describe('What the Secret holds now.'),
  secret: secretStatusSchema.optional().describe('The Secret that was written.'),
  consumers: consumerStatusSchema.optional().describe('The workloads that a change of the Secret restarts.'),
});
export type OnePasswordItemStatus = z.infer<typeof statusSchema>;

export const specSchema = z.object({
  itemPath: z.string().optional().meta({
    description: 'Which item: vaults/<id or name>/items/<id or title>.',
    maxLength: 2048,
    'x-kubernetes-validations': celRules,
  }),
});

/** A `OnePasswordItem` but for `metadata`; the CRD is generated from it. */
export const onePasswordItemSchema = z
  .object({
    type: z.string().optional().describe("The Secret's type, Opaque when absent. It stands at the root for compatibility."),
    spec: specSchema.optional().describe('What to fetch.'),
    status: statusSchema.optional().describe('What the operator has done.'),
  })
  .describe('Asks for a Secret of the same name that is kept equal to a 1Password item.');
