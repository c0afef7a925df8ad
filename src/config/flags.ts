import { similarTitles } from '../domain/similar-titles.ts';
import { ignoredFlags, meansToken, settingNames, settingOf, tokenPlaces } from './settings.ts';

export interface Flags {
  /** What to do instead of running; a word that stands alone among the flags. */
  readonly command: 'doctor' | undefined;
  /** By the name of the flag, without dashes; the last counts. */
  readonly values: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

const shapes = new Map(
  settingNames.flatMap((name): [string, 'switch' | 'value'][] => {
    const { flag, type } = settingOf(name);
    return flag === undefined ? [] : [[flag, type.shape === 'switch' ? 'switch' : 'value']];
  }),
);

/**
 * Flags as Go reads them: one dash or two, `--name=value` or `--name value`, a switch alone means true. An empty text, which Go has for a default,
 * is as if the flag were not there.
 */
export function readFlags(args: readonly string[]): Flags {
  const values = new Map<string, string>();
  const problems: string[] = [];
  const ignored = new Set<string>();
  let command: Flags['command'];
  for (let index = 0; index < args.length; index += 1) {
    if (args[index] === 'doctor') {
      command = 'doctor';
      continue;
    }
    const [, written, given] = /^--?([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?$/s.exec(args[index] ?? '') ?? [];
    const name = written === 'h' ? 'help' : written;
    const shape = name === undefined ? undefined : (shapes.get(name) ?? ignoredFlags.get(name));
    if (name !== undefined && shape === undefined && meansToken(name)) {
      problems.push(`--${name}: ${tokenPlaces}`);
      // What follows is the token, most likely.
      if (given === undefined && args[index + 1]?.startsWith('-') === false) index += 1;
      continue;
    }
    if (name === undefined || shape === undefined) {
      problems.push(unknown(name, index + 1));
      continue;
    }
    let value: string | undefined = given ?? 'true';
    if (given === undefined && shape === 'value') {
      index += 1;
      value = args[index];
    }
    if (ignoredFlags.has(name)) ignored.add(`--${name}`);
    else if (value === undefined || (value === '' && shape === 'switch')) problems.push(`--${name} needs a value`);
    else if (value === '') values.delete(name);
    else values.set(name, value);
  }
  if (command !== undefined && values.has('plan')) problems.push('doctor and --plan are two things: give one of them');
  return { command, values, problems, warnings: ignored.size > 0 ? [`accepted, but without effect here: ${[...ignored].join(', ')}`] : [] };
}

function unknown(name: string | undefined, position: number): string {
  if (name === undefined) return `unknown argument in position ${position}: --help shows the flags`;
  const [near] = similarTitles(name, shapes.keys());
  return `unknown argument --${name}: ${near === undefined ? '' : `did you mean --${near}? `}--help shows the flags`;
}
