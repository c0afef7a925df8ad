import { z } from 'zod';
import { connectIdSchema } from '../../src/connect/schema.ts';

/** Every category the API documents. */
export const categorySchema = z.enum(
  [
    'LOGIN',
    'PASSWORD',
    'API_CREDENTIAL',
    'SERVER',
    'DATABASE',
    'CREDIT_CARD',
    'MEMBERSHIP',
    'PASSPORT',
    'SOFTWARE_LICENSE',
    'OUTDOOR_LICENSE',
    'SECURE_NOTE',
    'WIRELESS_ROUTER',
    'BANK_ACCOUNT',
    'DRIVER_LICENSE',
    'IDENTITY',
    'REWARD_PROGRAM',
    'DOCUMENT',
    'EMAIL_ACCOUNT',
    'SOCIAL_SECURITY_NUMBER',
    'MEDICAL_RECORD',
    'SSH_KEY',
    'CUSTOM',
  ],
  { error: 'Invalid item category' },
);

/** A field type as it goes over the wire. */
export function wireFieldType(type: string): string {
  const upper = type.toUpperCase();
  return upper === 'TOTP' ? 'OTP' : upper;
}

/** Field types, in any letter case; the document's `TOTP` becomes `OTP`, which is what goes over the wire. */
export const fieldTypeSchema = z
  .string()
  .transform(wireFieldType)
  .pipe(z.enum(['STRING', 'EMAIL', 'CONCEALED', 'URL', 'OTP', 'DATE', 'MONTH_YEAR', 'MENU', 'SSHKEY']));

export const purposeSchema = z.enum(['', 'USERNAME', 'PASSWORD', 'NOTES']);

const recipeSchema = z.object({
  length: z.int().min(1).max(64).nullish(),
  characterSets: z
    .array(z.enum(['LETTERS', 'DIGITS', 'SYMBOLS']))
    .max(3)
    .nullish(),
  excludeCharacters: z.string().nullish(),
});

/** How to make up a value: 32 characters from all three sets unless it says otherwise. */
export type Recipe = z.input<typeof recipeSchema>;

const sectionReferenceSchema = z.object({ id: z.string().nullish() });

const fieldDraftSchema = z.object({
  id: z.string().nullish(),
  section: sectionReferenceSchema.nullish(),
  type: fieldTypeSchema.nullish(),
  purpose: purposeSchema.nullish(),
  label: z.string().nullish(),
  value: z.string().nullish(),
  generate: z.boolean().nullish(),
  recipe: recipeSchema.nullish(),
});

const urlSchema = z.object({ label: z.string().nullish(), primary: z.boolean().nullish(), href: z.string() });
const sectionDraftSchema = z.object({ id: z.string().nullish(), label: z.string().nullish() });

/** The attributes of an item that a client may set. What else a body holds (version, dates, files) is read-only and ignored. */
export const itemContentSchema = z.object({
  title: z.string().nullish(),
  category: categorySchema,
  favorite: z.boolean().nullish(),
  tags: z.array(z.string()).nullish(),
  urls: z.array(urlSchema).nullish(),
  sections: z.array(sectionDraftSchema).nullish(),
  fields: z.array(fieldDraftSchema).nullish(),
});

/** The body of POST and PUT: the attributes, and the vault they are for. */
export const itemBodySchema = itemContentSchema.extend({
  id: connectIdSchema.nullish().or(z.literal('')),
  vault: z.object({ id: connectIdSchema }),
});

/** A field on its way in. Without `id` it gets one; with `generate` and no value, a value. */
export type FieldDraft = z.input<typeof fieldDraftSchema>;

export type UrlDraft = z.input<typeof urlSchema>;
export type SectionDraft = z.input<typeof sectionDraftSchema>;

/** A file on its way in. A string is stored as UTF-8. */
export interface FileDraft {
  readonly id?: string;
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly section?: { readonly id: string };
}

/** What a test, a seed, or a request says of an item; everything else is made up. The category is `LOGIN` unless it says otherwise. */
export interface ItemDraft {
  readonly id?: string | undefined;
  readonly title: string;
  readonly category?: string | undefined;
  readonly favorite?: boolean | null | undefined;
  readonly tags?: readonly string[] | null | undefined;
  readonly urls?: readonly UrlDraft[] | null | undefined;
  readonly sections?: readonly SectionDraft[] | null | undefined;
  readonly fields?: readonly FieldDraft[] | null | undefined;
  readonly files?: readonly FileDraft[] | undefined;
  /** Set to pretend a restored backup or a long history; else 1, and 1 more with each edit. */
  readonly version?: number | undefined;
  readonly state?: 'ARCHIVED' | undefined;
  /** Set to pretend an old item, in ISO 8601; else now. */
  readonly createdAt?: string | undefined;
}

/** A field as stored. For `OTP` the value is the secret or its otpauth URI, and the code is computed when it is asked for. */
export interface Field {
  readonly id: string;
  readonly type: string;
  readonly section?: { readonly id: string };
  readonly purpose?: z.infer<typeof purposeSchema>;
  readonly label?: string;
  readonly value?: string;
}

export interface Section {
  readonly id: string;
  readonly label?: string;
}

export interface Url {
  readonly href: string;
  readonly label?: string;
  readonly primary?: true;
}

export interface StoredFile {
  readonly id: string;
  readonly name: string;
  readonly content: Buffer;
  readonly section?: { readonly id: string };
}

/** An item as stored: never changed in place, each edit makes a new one. Times are ISO 8601. */
export interface Item {
  readonly id: string;
  readonly title: string;
  readonly vault: { readonly id: string };
  readonly category: string;
  readonly favorite: boolean;
  readonly tags: readonly string[];
  readonly urls: readonly Url[];
  readonly sections: readonly Section[];
  readonly fields: readonly Field[];
  readonly files: readonly StoredFile[];
  readonly version: number;
  readonly state?: 'ARCHIVED';
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A vault as stored: never changed in place. */
export interface Vault {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly type: string;
  /** Moves with the name and the description. */
  readonly attributeVersion: number;
  /** Moves with every edit of an item. */
  readonly contentVersion: number;
  /** How many items are active, that is, not archived. */
  readonly items: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}
