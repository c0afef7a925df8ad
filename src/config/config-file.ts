import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { keyList } from '../domain/key-list.ts';
import { similarTitles } from '../domain/similar-titles.ts';
import { readSmallFile } from './small-file.ts';
import { shownKey } from './shown-key.ts';
import { fileKeys, meansToken, settingOf, type SettingName, tokenPlaces } from './settings.ts';

export interface ConfigFile {
  /** What a key holds: a text, unless its setting is a structure. Keys without a value are left out. */
  readonly values: ReadonlyMap<SettingName, unknown>;
  readonly problems: readonly string[];
}

/** Reads settings from a file in YAML. Problems name keys and lines, and quote no value. */
export function readConfigFile(path: string): ConfigFile {
  const file = readSmallFile(path);
  if ('problem' in file) return { values: new Map(), problems: [`--config names ${file.problem}`] };
  const lineCounter = new LineCounter();
  // What the parser says may quote the file. To say it at length takes time by the square of the number of errors in a line.
  const document = parseDocument(file.text, { prettyErrors: false, lineCounter });
  if (document.errors.length > 0) {
    const lines = [...new Set(document.errors.map(({ pos: [start] }) => lineCounter.linePos(start).line))];
    return { values: new Map(), problems: [`${path} is no YAML: look at line ${keyList(lines.map(String))}`] };
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    return { values: new Map(), problems: [] };
  if (!isMap(document.contents))
    return { values: new Map(), problems: [`${path} must hold settings by their keys, such as pollingInterval: 30`] };

  const values = new Map<SettingName, unknown>();
  const problems: string[] = [];
  for (const { key, value } of document.contents.items) {
    const written = isScalar(key) ? String(key.value) : '';
    const name = fileKeys.find((one) => one === written);
    if (name === undefined) {
      problems.push(unknown(written, path));
      continue;
    }
    const { type } = settingOf(name);
    const held = heldBy(value, document);
    if (held === unreadable) {
      problems.push(`${name} in ${path} must be written out: aliases are not read`);
      continue;
    }
    // A structure without a value is one that was to be there.
    const isStructure = type.shape === 'structure';
    const taken = isStructure ? held : asText(held, type.shape === 'list');
    if (taken === null) problems.push(`${name} in ${path} ${type.must}`);
    else if (taken !== undefined && (isStructure || taken !== '')) values.set(name, taken);
  }
  return { values, problems };
}

const unreadable = Symbol('unreadable');

/** A node as data: an alias can stand for far more than is written, or for nothing. */
function heldBy(node: unknown, document: Document.Parsed): unknown {
  if (!isNode(node)) return null;
  let aliased = false;
  visit(node, { Alias: () => ((aliased = true), visit.BREAK) });
  return aliased ? unreadable : node.toJS(document);
}

/** A scalar as a flag would have it, a list joined by commas; undefined for nothing, and null for what is no text. */
function asText(held: unknown, mayBeList: boolean): string | undefined | null {
  if (held === undefined || held === null) return undefined;
  if (typeof held === 'string') return held.trim();
  if (typeof held === 'number' || typeof held === 'boolean') return String(held);
  if (mayBeList && Array.isArray(held) && held.every((entry) => typeof entry === 'string')) return held.join(',');
  return null;
}

function unknown(key: string, path: string): string {
  const shown = shownKey(key);
  if (meansToken(key)) return `${shown} in ${path}: ${tokenPlaces}`;
  const [near] = similarTitles(key, fileKeys);
  return `${shown} in ${path} is no setting: ${near === undefined ? 'docs/reference/config.md lists the keys' : `did you mean ${near}?`}`;
}
