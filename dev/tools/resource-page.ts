/** `npm run resource` writes the page of OnePasswordItem that its definition yields; with --check it only compares. */
import { customResourceDefinition } from '../../src/api/custom-resource-definition.ts';
import { kind, plural } from '../../src/api/names.ts';
import { tableOf, writePage } from './generated-page.ts';

/** A structural schema, as far as the definition uses one. */
interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly nullable?: boolean;
  readonly description?: string;
  readonly maxLength?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
}

interface Definition {
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly shortNames: readonly string[] };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
      readonly additionalPrinterColumns: readonly { readonly name: string; readonly jsonPath: string; readonly priority?: number }[];
    }[];
  };
}

const { spec } = customResourceDefinition() as unknown as Definition;
const [version] = spec.versions;
if (version === undefined) throw new Error('the definition has no version');
const { openAPIV3Schema: schema } = version.schema;

/** The fields below one, each with its path from the root of the resource. */
function fieldsOf({ properties = {}, required = [] }: Schema, path: string): readonly (readonly string[])[] {
  return Object.entries(properties).flatMap(([name, field]) => {
    const place = `${path}${name}`;
    const below = field.items === undefined ? fieldsOf(field, `${place}.`) : fieldsOf(field.items, `${place}[].`);
    return [[`\`${place}\``, typeOf(field), required.includes(name) ? 'yes' : '', meaningOf(place, field)], ...below];
  });
}

function typeOf({ type = '', format, nullable, items, additionalProperties }: Schema): string {
  if (items !== undefined) return `list of ${typeOf(items)}s`;
  if (additionalProperties !== undefined) return `map to ${typeOf(additionalProperties)}`;
  return `${type}${format === 'date-time' ? ' (date and time)' : ''}${nullable ? ' or null' : ''}`;
}

/** A field that nothing is said of is a mistake. */
function meaningOf(place: string, field: Schema): string {
  if (field.description === undefined) throw new Error(`${place} has no description in src/api/onepassword-item.ts`);
  const bounds = field.maxLength === undefined ? [] : [`At most ${field.maxLength} characters.`];
  const rules = (field['x-kubernetes-validations'] ?? []).map(({ message }) => `The API server refuses others: it ${message}.`);
  return [field.description, ...bounds, ...rules].join(' ').replaceAll(/<([^>]*)>/g, '&lt;$1&gt;');
}

function section(name: 'spec' | 'status'): string {
  const field = schema.properties?.[name] ?? {};
  return tableOf(['field', 'type', 'always there', 'meaning'], fieldsOf({ properties: { [name]: field } }, ''));
}

const introduction = `# ${kind}

<!-- Generated from src/api/onepassword-item.ts by \`npm run resource\`. -->

\`${spec.group}/${version.name}\`, ${spec.scope.toLowerCase()}; \`kubectl get ${plural}\`, or for short \`${spec.names.shortNames.join('`, `')}\`. ${schema.description}
[Its definition](../../crds/onepassword.com_onepassworditems.yaml) accepts all that the Go operator's does.

\`\`\`yaml
apiVersion: ${spec.group}/${version.name}
kind: ${kind}
metadata:
  name: database # the name of the Secret too
  labels: { team: shop } # copied to the Secret
  annotations:
    operator.1password.io/auto-restart: "true" # roll who consumes it
type: Opaque
spec:
  itemPath: vaults/Prod/items/database
\`\`\`

The metadata count as well: [which labels and annotations](annotations.md) mean something, and which are copied.`;

const typeNote = `## type

${meaningOf('type', schema.properties?.['type'] ?? {})} Kubernetes does not let the type of a Secret change: with another one the resource says
[\`SecretTypeImmutable\`](reasons.md#secrettypeimmutable), and the Secret stays until you delete it.`;

const statusNote = `Keyturn alone writes it. All of it may be absent before the first attempt; a field that is _always there_ is so where the one above it is. With the CRD
of the Go operator the status is no more than the condition (\`CRDOutdated\`).`;

const conditions = `## Conditions

There is one, \`Ready\`. Conditions of other types, which other programs may write, are left alone.

| \`status\` | means                                                                                        |
| -------- | -------------------------------------------------------------------------------------------- |
| \`True\`   | the Secret is equal to the item in the version of \`status.item\`, or is frozen by its tag     |
| \`False\`  | it is not, or that cannot be told: \`reason\` is [one of a list with cures](reasons.md)        |
| none     | the resource has not been looked at: the operator does not run, or does not watch its namespace |

It speaks of the resource as it is when \`observedGeneration\` is \`metadata.generation\`. To wait for it:

\`\`\`sh
kubectl wait opi/database --for=condition=Ready --timeout=60s
\`\`\`

While Connect cannot be asked, a resource that was in sync stays \`True\` for a minute. Then it is \`False\`; the message goes on with what was said of
the Secret before, which stays as it was.`;

const columns = `## Columns

${tableOf(
  ['column of `kubectl get`', 'from'],
  version.additionalPrinterColumns.map(({ name, jsonPath, priority = 0 }) => [
    `\`${name.toUpperCase()}\`${priority > 0 ? ', with `-o wide`' : ''}`,
    `\`${jsonPath}\``,
  ]),
)}`;

await writePage({
  page: 'docs/reference/resource.md',
  content: [introduction, typeNote, '## spec', section('spec'), '## status', statusNote, section('status'), conditions, columns].join(
    '\n\n',
  ),
  source: 'src/api/onepassword-item.ts',
  script: 'resource',
});
