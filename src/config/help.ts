import { groups, ignoredFlags, type SettingName, settingNames, settingOf } from './settings.ts';

const width = 100;

/** What `--help` prints. */
export function helpText(version: string): string {
  return [
    `keyturn ${version}: keeps Secrets equal to items in 1Password, and rolls the workloads that consume them.`,
    '',
    'Usage: keyturn [flags]         keep Secrets equal to items, until it is stopped',
    '       keyturn doctor [flags]  look at all that it depends on, say how to cure what is wrong, and end',
    '       keyturn crd             apply the CustomResourceDefinition of OnePasswordItem, and end; --print prints it',
    '       keyturn check-credentials FILE  say whether a Connect server can use these credentials, and end',
    '',
    'A setting is taken from its flag, else from its variable, else from its key in the file that --config names.',
    ...groups.flatMap((group) => ['', `${group}:`, ...settingNames.filter((name) => settingOf(name).group === group).flatMap(entry)]),
    '',
    'Accepted without effect, as the Go operator has them:',
    ...wrapped([...ignoredFlags.keys()].map((flag) => `--${flag}`).join(', '), 6),
    '',
  ].join('\n');
}

function entry(name: SettingName): readonly string[] {
  const { flag, variables = [], type, about } = settingOf(name);
  const head = flag === undefined ? (variables[0] ?? name) : `--${flag}${type.shape === 'switch' ? '' : ` <${type.takes}>`}`;
  const notes = [...places(name), ...defaultOf(name)].join('; ');
  return [`  ${head}`, ...wrapped(about, 6), ...(notes === '' ? [] : wrapped(`(${notes})`, 6))];
}

/** Where else a setting can be given. */
function places(name: SettingName): readonly string[] {
  const { flag, variables = [], inFile } = settingOf(name);
  const others = flag === undefined ? variables.slice(1) : variables;
  const kind = flag === undefined && variables.length > 0 ? 'a variable, also' : 'variable';
  return [...(others.length > 0 ? [`${kind} ${others.join(' or ')}`] : []), ...(inFile === false ? [] : [`key ${name}`])];
}

/** A default as people read it: `default 2s`, `required`. */
function defaultOf(name: SettingName): readonly string[] {
  const { default: fallback, otherwise } = settingOf(name);
  if (otherwise !== undefined) return [otherwise.includes('required') ? otherwise : `default ${otherwise}`];
  return fallback === undefined || fallback === '' ? [] : [`default ${fallback}`];
}

function wrapped(text: string, indent: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${' '.repeat(indent)}${one}`);
}
