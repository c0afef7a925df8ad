import { shownKey } from './shown-key.ts';
import { settings, type SettingName, settingNames, settingOf, type Values } from './settings.ts';

/** Where settings are taken from, the first before the others. */
export interface Sources {
  /** By the name of the flag. */
  readonly flags: ReadonlyMap<string, string>;
  /** Undefined when it is empty or not set. */
  readonly variable: (name: string) => string | undefined;
  readonly file: ReadonlyMap<SettingName, unknown>;
  /** The path of the file, for problems. */
  readonly filePath: string;
}

export interface ReadValues {
  readonly values: Values;
  /** The source of a setting as people know it, for instance `--log-level` or `OP_CONNECT_HOST`; undefined for a default. */
  readonly source: (name: SettingName) => string | undefined;
  /** Undefined for a default. */
  readonly kind: (name: SettingName) => Given['kind'] | undefined;
}

/** Takes each setting from the first source that has it. What cannot be read is a problem, and counts as its default. */
export function readValues(sources: Sources, problems: string[], warnings: string[]): ReadValues {
  const found = new Map(settingNames.map((name) => [name, find(name, sources)]));
  const values = Object.fromEntries(settingNames.map((name): [SettingName, unknown] => [name, valueOf(name, found.get(name))]));
  return {
    values: values as unknown as Values,
    source: (name) => found.get(name)?.source,
    kind: (name) => found.get(name)?.kind,
  };

  function valueOf(name: SettingName, given: Given | undefined): unknown {
    const { type, default: fallback } = settingOf(name);
    const otherwise = fallback === undefined ? undefined : type.schema.parse(fallback);
    if (given === undefined) return otherwise;
    const result = type.schema.safeParse(given.value);
    if (result.success) return result.data;
    if (name === 'pollingInterval' && given.kind === 'variable') {
      const next = find(name, { ...sources, variable: () => undefined });
      warnings.push(`${given.source} ${type.must}: using ${next?.source ?? fallback}`);
      return valueOf(name, next);
    }
    problems.push(...complaints(name, given.source, result.error.issues));
    return otherwise;
  }
}

interface Given {
  readonly kind: 'flag' | 'variable' | 'file';
  readonly source: string;
  readonly value: unknown;
}

function find(name: SettingName, { flags, variable, file, filePath }: Sources): Given | undefined {
  const { flag, variables = [] } = settingOf(name);
  const flagged = flag === undefined ? undefined : flags.get(flag);
  if (flagged !== undefined) return { kind: 'flag', source: `--${flag}`, value: flagged };
  for (const one of variables) {
    const value = variable(one);
    if (value !== undefined) return { kind: 'variable', source: one, value };
  }
  return file.has(name) ? { kind: 'file', source: `${name} in ${filePath}`, value: file.get(name) } : undefined;
}

interface Issue {
  readonly code: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

/** What is wrong with a value, in our words: those of zod may quote it. */
function complaints(name: SettingName, source: string, issues: readonly Issue[]): readonly string[] {
  const { type } = settings[name];
  if (type.shape === 'structure') return issues.map((issue) => misshapen(source, issue));
  const own = issues.filter(({ code }) => code === 'custom').map(({ message }) => `${source}${message}`);
  return own.length > 0 ? own : [`${source} ${type.must}`];
}

function misshapen(source: string, { code, path, message, keys = [] }: Issue): string {
  const place = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  const [name, where] = [source.slice(0, source.indexOf(' ')), source.slice(source.indexOf(' '))];
  if (code === 'unrecognized_keys') {
    return `${name}${place}${where} may have namespaces and vaults, and not ${keys.map(shownKey).join(', ')}`;
  }
  return `${name}${place}${where} ${message}`;
}
