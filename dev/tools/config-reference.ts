/** `npm run config-reference` writes docs/reference/config.md from the table of settings; with --check it only compares. */
import { groups, ignoredFlags, type SettingName, settingNames, settingOf } from '../../src/config/settings.ts';
import { tableOf, writePage } from './generated-page.ts';

const introduction = `<!-- Generated from src/config/settings.ts by \`npm run config-reference\`. -->

# Configuration

A setting is taken from its flag, else from its variable, else from its key in the file that \`--config\` names, else it is the default. Flags may
be written with one dash or two, as \`--name=value\` or \`--name value\`; a flag that is true or false may stand alone, and then means true. An empty
variable is an unset one, and so are an empty flag and an empty key. A mistake ends the process with exit code 2, after every mistake was told with its cure.

\`\`\`yaml
# keyturn --config keyturn.yaml
connectHost: http://onepassword-connect:8080
connectTokenFile: /var/run/secrets/connect/token
watchNamespace: [shop, team-blue]
leaderElect: true
vaultPolicy:
  - namespaces: [shop]
    vaults: [Shop, Common]
  - namespaces: ["team-*"]
    vaults: [Common]
\`\`\`

The file is strict: a key that is none is a mistake. The token has no place in it, and none among the flags: other processes can read these.
Durations are written as \`90s\`, \`1h30m\` or \`250ms\`.
`;

function pageOf(): string {
  return [
    introduction,
    ...groups.map((group) => sectionOf(group)),
    '## Of the Go operator\n',
    `These flags are accepted and have no effect, which one warning says: ${[...ignoredFlags.keys()].map((flag) => `\`--${flag}\``).join(', ')}.`,
    '',
    '`MANAGE_CONNECT=true` has no effect either, with a warning. `OP_SERVICE_ACCOUNT_TOKEN` without a Connect server is a mistake: items are read from a',
    'Connect server only.',
    '',
  ].join('\n');
}

function sectionOf(group: (typeof groups)[number]): string {
  const rows = settingNames.filter((name) => settingOf(name).group === group).map(rowOf);
  return `## ${group}\n\n${tableOf(['key in the file', 'flag', 'variable', 'takes', 'default', 'meaning'], rows)}\n`;
}

function rowOf(name: SettingName): readonly string[] {
  const { flag, variables = [], inFile, type, default: fallback, otherwise, about } = settingOf(name);
  return [
    inFile === false ? '' : `\`${name}\``,
    flag === undefined ? '' : `\`--${flag}\``,
    variables.map((variable) => `\`${variable}\``).join(', '),
    type.takes,
    otherwise ?? (fallback === undefined || fallback === '' ? '' : `\`${fallback}\``),
    about,
  ];
}

await writePage({
  page: 'docs/reference/config.md',
  content: pageOf(),
  source: 'the table in src/config/settings.ts',
  script: 'config-reference',
});
