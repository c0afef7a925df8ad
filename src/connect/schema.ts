import { z } from 'zod';

/**
 * What goes over the wire between Connect and its clients, as the Connect API 1.7 documents it.
 * One set serves both sides: our client reads answers with it, and the dev server's answers are checked against it.
 * Unknown fields are dropped and optional lists may be null, as a Go server writes an empty list.
 */

/** 26 lower-case letters and digits: the id of a vault, an item, or a file. Only such a string may enter a request path. */
export const connectIdPattern = /^[a-z0-9]{26}$/;

export const connectIdSchema = z.string().regex(connectIdPattern);

const timestampSchema = z.iso.datetime({ offset: true });
const listOf = <S extends z.ZodType>(schema: S) =>
  z
    .array(schema)
    .nullish()
    .transform((list) => list ?? []);

export const vaultSchema = z.object({
  id: connectIdSchema,
  name: z.string(),
  description: z.string().optional(),
  attributeVersion: z.int().optional(),
  contentVersion: z.int(),
  items: z.int().optional(),
  type: z.string().optional(),
  createdAt: timestampSchema.optional(),
  updatedAt: timestampSchema.optional(),
});

export const vaultListSchema = z.array(vaultSchema);

const urlSchema = z.object({ label: z.string().nullish(), primary: z.boolean().nullish(), href: z.string() });

/** An item as listings give it: no fields, no sections, no files. */
const itemSummarySchema = z.object({
  id: connectIdSchema,
  title: z.string(),
  vault: z.object({ id: connectIdSchema }),
  category: z.string(),
  urls: listOf(urlSchema),
  favorite: z.boolean().optional(),
  tags: listOf(z.string()),
  version: z.int().nonnegative(),
  state: z.string().optional(),
  createdAt: timestampSchema.optional(),
  updatedAt: timestampSchema.optional(),
  lastEditedBy: z.string().optional(),
});

/** A listing, of which no more is checked and kept than a poll needs: it holds thousands of items, and is read again whenever one changes. */
export const itemSummaryListSchema = z.array(
  itemSummarySchema.pick({ id: true, title: true, tags: true, version: true, state: true, createdAt: true, updatedAt: true }),
);

const sectionReferenceSchema = z.object({ id: z.string().optional() });

/** `type` is an open set: one-time passwords are `OTP` on the wire and `TOTP` in Connect's own document. */
export const fieldSchema = z.object({
  id: z.string(),
  section: sectionReferenceSchema.nullish(),
  type: z.string().default('STRING'),
  purpose: z.string().optional(),
  label: z.string().nullish(),
  value: z.string().nullish(),
  totp: z.string().optional(),
  generate: z.boolean().optional(),
  entropy: z.number().optional(),
});

export const fileSchema = z.object({
  id: z.string(),
  name: z.string(),
  size: z.int().nonnegative(),
  content_path: z.string().optional(),
  section: sectionReferenceSchema.nullish(),
  content: z.base64().optional(),
});

export const fileListSchema = z.array(fileSchema);

export const itemSchema = itemSummarySchema.extend({
  sections: listOf(z.object({ id: z.string().optional(), label: z.string().nullish() })),
  fields: listOf(fieldSchema),
  files: listOf(fileSchema),
});

/** An item, of which no more is checked and kept than a Secret is made of: neither a secret of one-time passwords nor the content of a file. */
export const itemContentSchema = itemSchema.pick({ id: true, vault: true, urls: true, tags: true, version: true, state: true }).extend({
  fields: listOf(fieldSchema.pick({ label: true, type: true, value: true })),
  files: listOf(fileSchema.pick({ id: true, name: true, size: true })),
});
export type WireItem = z.infer<typeof itemContentSchema>;

export const errorResponseSchema = z.object({ status: z.int(), message: z.string() });
export type WireError = z.infer<typeof errorResponseSchema>;

/** One line of Connect's own audit trail, `GET /v1/activity`. */
export const apiRequestSchema = z.object({
  requestId: z.uuid(),
  timestamp: timestampSchema,
  action: z.enum(['READ', 'CREATE', 'UPDATE', 'DELETE']),
  result: z.enum(['SUCCESS', 'DENY']),
  actor: z.object({
    id: z.uuid(),
    account: z.string(),
    jti: z.string(),
    userAgent: z.string(),
    requestIp: z.string(),
  }),
  resource: z.object({
    type: z.enum(['ITEM', 'VAULT']),
    vault: z.object({ id: connectIdSchema }).optional(),
    item: z.object({ id: connectIdSchema }).optional(),
    itemVersion: z.int().optional(),
  }),
});
export type WireApiRequest = z.infer<typeof apiRequestSchema>;

export const apiRequestListSchema = z.array(apiRequestSchema);

export const serverHealthSchema = z.object({
  name: z.string(),
  version: z.string(),
  dependencies: listOf(z.object({ service: z.string(), status: z.string(), message: z.string().optional() })),
});
export type WireServerHealth = z.infer<typeof serverHealthSchema>;
