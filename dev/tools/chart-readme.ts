/**
 * `npm run chart-readme` writes the page of the chart's values, and the comments in values.yaml, from values.schema.json; with --check it only
 * compares.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMap, isScalar, parse, parseDocument, type YAMLMap } from 'yaml';
import { ROOT } from './command.ts';
import { tableOf, writePage } from './generated-page.ts';

/** As far as values.schema.json uses JSON Schema. */
interface Schema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly deprecated?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: false | Schema;
}

const chart = 'helm/keyturn';
const source = `${chart}/values.schema.json`;
const read = (path: string): string => readFileSync(resolve(ROOT, path), 'utf8');
const schema = JSON.parse(read(source)) as Schema;
const document = parseDocument(read(`${chart}/values.yaml`));
const defaults = parse(read(`${chart}/values.yaml`)) as Readonly<Record<string, unknown>>;
const { version } = parse(read(`${chart}/Chart.yaml`)) as { readonly version: string };

const introduction = `<!-- Generated from values.schema.json and values.yaml by \`npm run chart-readme\`. -->

# Helm chart of Keyturn

Version ${version}. It runs the operator, keeps its CustomResourceDefinition up to date, and if you like runs a Connect server as well.

\`\`\`sh
kubectl create namespace keyturn
kubectl -n keyturn create secret generic onepassword-token --from-file=token=FILE
helm install keyturn helm/keyturn -n keyturn --set operator.connectUrl=http://onepassword-connect:8080
\`\`\`

Every key is checked: one that is misspelt, or none of this chart, is an error that names it. A values file of the official chart can be carried
over; [where it differs](../../docs/migrating.md#values-of-the-official-chart) the error says what to do.

## The CustomResourceDefinition

It is no object of the release. Before an installation and an upgrade a Job applies it by server-side apply, whoever laid it down before; a rollback leaves
the newer one, which accepts what the older one does. Nothing of the chart deletes it, for with it all resources would go, and with them their Secrets. The Job,
its service account and its permissions are gone after a success. After a failure the Job stays until the next try: \`kubectl logs job/keyturn-crd\`.

With \`crds.install=false\` somebody else has to apply what \`keyturn crd --print\` prints, with every new version.

## Settings

What the operator is set to stands in a ConfigMap, but for what \`keyturn doctor\` in the pod needs as well, which are environment variables. A change rolls the pods;
one of \`operator.vaultPolicy\` does not, for the operator reads that again. \`operator.config\` takes further keys of
[the configuration file](../../docs/reference/config.md), and \`operator.extraArgs\` flags.

The token of the Connect server comes from a Secret that exists, as a file, so that another token needs no restart. While the Secret is not there the pod
ends with a message that says so.

## A Connect server

\`connect.create\` runs the official images with credentials from a Secret that exists. They were not run in the tests of this chart; its manifests were accepted by
an API server. What the Secret holds is the credentials file as base64, as Connect expects it in a variable:

\`\`\`sh
base64 < 1password-credentials.json | tr -d '\\n' |
  kubectl -n keyturn create secret generic op-credentials --from-file=1password-credentials.json=/dev/stdin
\`\`\`

Before Connect starts a container checks that; a file that was encoded twice, or not at all, is told in the message of the pod.
`;

/** The values below one, each with its path. */
function rowsOf({ properties = {} }: Schema, held: unknown, path: string): readonly (readonly string[])[] {
  return Object.entries(properties).flatMap(([key, value]) => {
    if (value.deprecated === true) return [];
    const place = `${path}${key}`;
    const fallback = (held as Readonly<Record<string, unknown>> | undefined)?.[key];
    if (isGroup(value)) return rowsOf(value, fallback, `${place}.`);
    return [
      [
        `\`${place}\``,
        typeOf(value),
        fallback === undefined || fallback === '' ? '' : `\`${JSON.stringify(fallback)}\``,
        meaningOf(place, value),
      ],
    ];
  });
}

/** Whether its keys are values of their own in values.yaml. */
function isGroup({ properties }: Schema): boolean {
  return Object.values(properties ?? {}).some((property) => property.deprecated !== true) && !isSettings(properties);
}

/** `operator.config`, whose keys are those of the configuration file and stand on a page of their own. */
function isSettings(properties: Schema['properties']): boolean {
  return properties?.['leaderElect'] !== undefined;
}

function typeOf({ type = '', enum: words, anyOf, items, additionalProperties }: Schema): string {
  if (words !== undefined) return words.filter((word) => word !== '').join(', ');
  if (anyOf !== undefined) return anyOf.map(typeOf).join(' or ');
  const name = typeof type === 'string' ? type : type.join(' or ');
  if (items !== undefined) return name.replace('array', `list of ${typeOf(items)}s`);
  return typeof additionalProperties === 'object' ? `map to ${typeOf(additionalProperties)}` : name;
}

/** A value that nothing is said of is a mistake. */
function meaningOf(place: string, { description }: Schema): string {
  if (description === undefined) throw new Error(`${place} has no description in ${source}`);
  return description;
}

function table(rows: readonly (readonly string[])[]): string {
  return tableOf(['value', 'takes', 'default', 'meaning'], rows);
}

function page(): string {
  const rows = rowsOf(schema, defaults, '').filter(([place]) => place !== '`global`');
  const groups = ['operator', 'connect', 'crds'].map((group) => ({
    group,
    own: rows.filter(([place = '']) => place.startsWith(`\`${group}.`)),
  }));
  const named = new Set(groups.flatMap(({ own }) => own));
  return [
    introduction,
    '## Values\n',
    ...groups.flatMap(({ group, own }) => [`### ${group}\n`, `${schema.properties?.[group]?.description ?? ''}\n`, `${table(own)}\n`]),
    '### All of them\n',
    table(rows.filter((row) => !named.has(row))),
    '',
  ].join('\n');
}

/** Puts the description of each value above it. */
function comment(map: YAMLMap, { properties = {} }: Schema, path: string): void {
  // A comment above the first key belongs to the map.
  map.commentBefore = null;
  for (const { key, value } of map.items) {
    if (!isScalar(key)) throw new Error(`${chart}/values.yaml has a key that is no text below ${path}`);
    const place = `${path}${String(key.value)}`;
    const own = properties[String(key.value)];
    if (own === undefined) throw new Error(`${place} is in ${chart}/values.yaml and not in ${source}`);
    key.commentBefore = wrapped(meaningOf(place, own));
    key.spaceBefore = path === '' && isMap(value);
    if (isMap(value) && isGroup(own)) comment(value, own, `${place}.`);
  }
}

/** Lines of a comment, which do not become too long. */
function wrapped(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 110) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => ` ${line}`).join('\n');
}

const script = 'chart-readme';
await writePage({ page: `${chart}/README.md`, content: page(), source: `${source} and values.yaml`, script });

if (!isMap(document.contents)) throw new Error(`${chart}/values.yaml holds no values`);
document.commentBefore = null;
comment(document.contents, schema, '');
await writePage({ page: `${chart}/values.yaml`, content: document.toString({ lineWidth: 0 }), source, script });
