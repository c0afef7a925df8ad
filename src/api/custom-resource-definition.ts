import { z } from 'zod';
import { group, kind, plural, version } from './names.ts';
import { onePasswordItemSchema } from './onepassword-item.ts';

type JsonSchema = { [key: string]: unknown };

/** JSON Schema keywords that a structural schema of Kubernetes refuses, or that say nothing in one. */
const dropped = new Set(['$schema', 'additionalProperties', 'pattern', 'propertyNames', 'maximum', 'minimum']);

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON Schema → the structural form: integers are 64 bits wide, maps keep the schema of their values, keywords above go. */
function toStructural(schema: JsonSchema): JsonSchema {
  const result: JsonSchema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties' && isSchema(value)) {
      result[key] = Object.fromEntries(Object.entries(value).map(([name, child]) => [name, toStructural(child as JsonSchema)]));
    } else if (key === 'items' && isSchema(value)) {
      result[key] = toStructural(value);
    } else if (key === 'additionalProperties' && isSchema(value) && Object.keys(value).length > 0) {
      result[key] = toStructural(value);
    } else if (!dropped.has(key)) {
      result[key] = value;
    }
  }
  if (result['type'] === 'integer') result['format'] = 'int64';
  return result;
}

/** What to do about a definition that is missing, or an older one. */
export const applyCrd = 'run kubectl apply -f crds/, or upgrade the chart with crds.install=true';

/** The CustomResourceDefinition of `OnePasswordItem`, as it stands in `crds/`. */
export function customResourceDefinition(): JsonSchema {
  const schema = toStructural(z.toJSONSchema(onePasswordItemSchema, { target: 'openapi-3.0', io: 'input' }));
  const properties = {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
    ...(schema['properties'] as JsonSchema),
  };
  const ready = '.status.conditions[?(@.type=="Ready")]';
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames: ['opi'] },
      scope: 'Namespaced',
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { ...schema, properties } },
          subresources: { status: {} },
          additionalPrinterColumns: [
            { name: 'Ready', type: 'string', jsonPath: `${ready}.status` },
            { name: 'Reason', type: 'string', jsonPath: `${ready}.reason` },
            { name: 'Item', type: 'string', jsonPath: '.spec.itemPath' },
            { name: 'Version', type: 'integer', jsonPath: '.status.item.version' },
            { name: 'Message', type: 'string', jsonPath: `${ready}.message`, priority: 1 },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
        },
      ],
    },
  };
}
