import { z } from 'zod';
import { reasons } from '../api/reasons.ts';

/**
 * The lines of the audit stream, as docs/reference/audit.md documents them. Ids, names, versions and reasons: there is no field that could
 * hold a value, a token, or anything that somebody else wrote at length.
 */

/** Grows when a field changes its meaning or goes; fields that come do not move it. */
export const auditSchemaVersion = 1;

/** Beside the reasons of conditions: `Cancelled` – the process was stopped meanwhile; `WriteUncertain` – no answer, so it may have been carried out. */
export const auditReasons = [...reasons, 'Cancelled', 'WriteUncertain', 'KubernetesError'] as const;

const reasonSchema = z.enum(auditReasons);
export type AuditReason = z.infer<typeof reasonSchema>;

/** In every line. */
const envelope = {
  log: z.literal('audit'),
  schema: z.literal(auditSchemaVersion),
  time: z.iso.datetime({ precision: 3 }),
  process: z.uuid(),
  seq: z.int().positive(),
  cluster: z.string(),
  pod: z.string(),
  version: z.string(),
  connection: z.string(),
  token: z.string(),
};

const requesterSchema = z.strictObject({
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  generation: z.int().nonnegative().optional(),
});
/** Who asks for an item: a resource, or an annotated Deployment. */
export type Requester = z.infer<typeof requesterSchema>;

const secretSchema = z.strictObject({ namespace: z.string(), name: z.string(), uid: z.string().optional() });

const requesters = z.array(requesterSchema).readonly();
const item = { vault: z.string(), item: z.string(), itemVersion: z.int().nonnegative().optional() };
/** As a Secret says of itself. */
const itemIfKnown = { vault: z.string().optional(), item: z.string().optional(), itemVersion: z.int().nonnegative().optional() };
const requestId = z.uuid();
const failing = { reason: reasonSchema.optional() };
const request = { requestId, status: z.int().nonnegative(), result: z.enum(['success', 'denied', 'failed']), ...failing };
const write = { secret: secretSchema, ...item, requesters, requestId, result: z.enum(['success', 'refused', 'failed']), ...failing };

function line<const A extends string, S extends z.ZodRawShape>(actions: readonly [A, ...A[]], shape: S) {
  return z.strictObject({ ...envelope, action: z.literal(actions), ...shape });
}

const success = z.literal('success');

export const auditRecordSchema = z.discriminatedUnion('action', [
  line(['item.retrieve', 'item.share'], { ...item, requesters, ...request }),
  line(['file.retrieve'], { ...item, file: z.string(), requesters, ...request }),
  line(['secret.create', 'secret.update'], write),
  line(['secret.refuse'], {
    secret: secretSchema,
    ...itemIfKnown,
    requesters,
    requestId: requestId.optional(),
    result: z.literal('refused'),
    reason: reasonSchema,
  }),
  line(['secret.delete'], {
    secret: secretSchema,
    ...itemIfKnown,
    requesters,
    result: z.enum(['success', 'unknown']),
  }),
  line(['workload.restart'], {
    workload: requesterSchema,
    secrets: z.array(z.strictObject({ name: z.string(), ...itemIfKnown })).readonly(),
    requesters,
    result: success,
  }),
  line(['token.load', 'token.change'], { result: success }),
  line(['policy.refuse'], { requesters, itemPath: z.string().optional(), result: z.literal('denied'), reason: reasonSchema }),
  line(['audit.resume'], { lost: z.int().positive(), result: success }),
]);

export type AuditRecord = z.infer<typeof auditRecordSchema>;

type Entry<R> = R extends unknown ? Omit<R, keyof typeof envelope> : never;
/** What happened: a record without what is the same in all, or is counted. */
export type AuditEntry = Entry<AuditRecord> & {
  /** The id of the token that was used, if that need not be the one in use now. */
  readonly token?: string;
};
