import { z } from 'zod';
import { parseDuration } from '../runtime/duration.ts';

/** What a setting can be. A problem is told as its source and `must`, and never quotes what was given: it may be a secret in the wrong place. */
export interface SettingType<T> {
  /** Of a text, as flags, variables and scalars of the file give it; of what the file holds when `shape` is `structure`. */
  readonly schema: z.ZodType<T>;
  /** A `switch` is a flag that needs no value; a `list` may be one in the file. */
  readonly shape: 'switch' | 'text' | 'list' | 'structure';
  /** What it takes, in a word or two, with its unit. */
  readonly takes: string;
  /** Goes on after the name of the source: `must be true or false`. */
  readonly must: string;
}

export interface ListenAddress {
  /** Undefined: all interfaces. */
  readonly host: string | undefined;
  readonly port: number;
}

/** As Go reads booleans, in any case. */
export const trueOrFalse: SettingType<boolean> = {
  schema: z
    .string()
    .regex(/^(1|t|true|0|f|false)$/i)
    .transform((text) => /^(1|t|true)$/i.test(text)),
  shape: 'switch',
  takes: 'true or false',
  must: 'must be true or false',
};

export const anyText: SettingType<string> = { schema: z.string(), shape: 'text', takes: 'text', must: 'must be a text' };

export const filePath: SettingType<string> = { schema: z.string(), shape: 'text', takes: 'file', must: 'must be the path of a file' };

export const folderPath: SettingType<string> = { ...filePath, takes: 'folder', must: 'must be the path of a folder' };

export const webAddress: SettingType<string> = {
  schema: z.url({ protocol: /^https?$/ }),
  shape: 'text',
  takes: 'URL',
  must: 'must be a URL that begins with http:// or https://',
};

/** The token itself: without white space. */
export const accessToken: SettingType<string> = {
  schema: z.string().regex(/^\S+$/),
  shape: 'text',
  takes: 'token',
  must: 'has white space inside: give the token alone, on one line',
};

/** `host:port`, `:port`, or `0` for none. */
export const listenAddress: SettingType<ListenAddress | undefined> = {
  schema: z.string().transform((text, context): ListenAddress | undefined => {
    if (text === '0') return undefined;
    const [, host, port] = /^(?:\[?([^[\]]*?)\]?):(\d{1,5})$/.exec(text) ?? [];
    if (port !== undefined && Number(port) <= 65_535) return { host: host || undefined, port: Number(port) };
    context.addIssue({ code: 'invalid_format', format: 'host:port' });
    return z.NEVER;
  }),
  shape: 'text',
  takes: 'host:port',
  must: 'must be host:port, :port, or 0 for none',
};

const namespaceName = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Separated by commas → each once. The problem names the first that is none: it is no secret, and long lists are hard to look through. */
export const namespaceNames: SettingType<readonly string[]> = {
  schema: z.string().transform((text, context) => {
    const names = text.split(',').map((name) => name.trim());
    const given = [...new Set(names.filter((name) => name !== ''))];
    for (const name of given.filter((one) => !namespaceName.test(one))) {
      context.addIssue({ code: 'custom', message: `: "${name.slice(0, 253)}" is no name of a namespace` });
    }
    return given;
  }),
  shape: 'list',
  takes: 'names, separated by commas',
  must: 'must be names of namespaces, separated by commas',
};

/** A Go duration → milliseconds. */
export function duration({
  min = 0,
  max,
  example,
}: {
  readonly min?: number;
  readonly max: number;
  readonly example: string;
}): SettingType<number> {
  const least = min === 0 ? '' : `at least ${shown(min)} and `;
  return {
    schema: z
      .string()
      .transform((text) => parseDuration(text) ?? Number.NaN)
      .pipe(z.number().min(min).max(max)),
    shape: 'text',
    takes: 'duration',
    must: `must be a duration of ${least}at most ${shown(max)}, for instance ${example}`,
  };
}

function shown(ms: number): string {
  if (ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}

/** A whole number in bounds, times `scale`. */
export function wholeNumber({
  min,
  max,
  takes,
  must,
  scale = 1,
}: {
  readonly min: number;
  readonly max: number;
  readonly takes: string;
  readonly must: string;
  readonly scale?: number;
}): SettingType<number> {
  return {
    schema: z
      .string()
      .regex(/^\d{1,9}$/)
      .transform(Number)
      .pipe(z.number().min(min).max(max))
      .transform((number) => number * scale),
    shape: 'text',
    takes,
    must,
  };
}

/** One of a few words, as they are written. */
export function oneOf<const Word extends string>(words: readonly Word[], must: string): SettingType<Word> {
  return { schema: z.enum(words), shape: 'text', takes: words.join(', '), must };
}

/** Levels as zap has them: a number above 0 is a degree of verbosity, `panic` less than we ever log. */
export const zapLevel: SettingType<'debug' | 'info' | 'error'> = {
  schema: z
    .string()
    .toLowerCase()
    .regex(/^(debug|info|error|panic|0*[1-9]\d{0,2})$/)
    .transform((text) => (text === 'info' ? 'info' : text === 'error' || text === 'panic' ? 'error' : 'debug')),
  shape: 'text',
  takes: 'level',
  must: 'must be debug, info, error, panic or a number above 0',
};

export type VaultPolicy = readonly { readonly namespaces: readonly string[]; readonly vaults: readonly string[] }[];

/** A name of a namespace in which `*` is any text. */
const namespacePattern = z.string('must be a text').regex(/^[-a-z0-9*]{1,63}$/, 'must be a name of a namespace, in which * is any text');
/** Not zod's own `min`: that looks at the length of anything that has one, and a map whose key is `length` may throw. */
const hasSome = ({ length }: string | readonly unknown[]): boolean => length > 0;
const vaultName = z.string('must be a text, in quotes when it looks like a number').trim().refine(hasSome, 'must not be empty');
const filled = 'must be a list with at least one entry';

export const vaultPolicy: SettingType<VaultPolicy> = {
  schema: z.array(
    z.strictObject(
      {
        namespaces: z.array(namespacePattern, filled).refine(hasSome, filled),
        vaults: z.array(vaultName, filled).refine(hasSome, filled),
      },
      'must be an entry with namespaces and vaults',
    ),
    'must be a list of entries with namespaces and vaults',
  ),
  shape: 'structure',
  takes: 'list of {namespaces, vaults}',
  must: 'must be a list of entries with namespaces and vaults',
};
