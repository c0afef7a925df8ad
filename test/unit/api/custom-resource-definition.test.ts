import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { customResourceDefinition } from '../../../src/api/custom-resource-definition.ts';

interface Schema {
  readonly [keyword: string]: unknown;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly required?: readonly string[];
}

interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: object;
    readonly versions: readonly {
      readonly name: string;
      readonly subresources: object;
      readonly schema: { readonly openAPIV3Schema: Schema };
      readonly additionalPrinterColumns: readonly { readonly name: string; readonly jsonPath: string }[];
    }[];
  };
}

const definition = customResourceDefinition() as unknown as Definition;
const [version] = definition.spec.versions;
const schema = version?.schema.openAPIV3Schema ?? {};

/** A schema and all in it, each with its path. */
function everySchema(root: Schema, path = 'object'): readonly (readonly [string, Schema])[] {
  const children = [
    ...Object.entries(root.properties ?? {}),
    ...(root.items === undefined ? [] : [['[]', root.items] as const]),
    ...(root.additionalProperties === undefined ? [] : [['*', root.additionalProperties] as const]),
  ];
  return [[path, root], ...children.flatMap(([name, child]) => everySchema(child, `${path}.${name}`))];
}

const keywords = new Set([
  'type',
  'description',
  'properties',
  'required',
  'items',
  'additionalProperties',
  'format',
  'nullable',
  'maxLength',
  'x-kubernetes-validations',
]);

describe('the definition of OnePasswordItem', () => {
  it('has the names that users know', () => {
    expect(definition.metadata.name).toBe('onepassworditems.onepassword.com');
    expect(definition.spec).toMatchObject({
      group: 'onepassword.com',
      scope: 'Namespaced',
      names: { kind: 'OnePasswordItem', shortNames: ['opi'] },
    });
    expect([version?.name, version?.subresources]).toEqual(['v1', { status: {} }]);
  });

  it('shows whether and why an item is ready, which item, its version and its age', () => {
    expect(version?.additionalPrinterColumns.map(({ name }) => name)).toEqual(['Ready', 'Reason', 'Item', 'Version', 'Message', 'Age']);
    for (const { jsonPath } of version?.additionalPrinterColumns ?? []) expect(jsonPath).toMatch(/^\.(status|spec|metadata)\./);
  });

  it('is structural: each part has a type, and only keywords that Kubernetes takes', () => {
    for (const [path, part] of everySchema(schema)) {
      expect(part.type, path).toMatch(/^(object|array|string|integer|boolean)$/);
      expect(
        Object.keys(part).filter((keyword) => !keywords.has(keyword)),
        path,
      ).toEqual([]);
    }
  });

  it('has whole numbers of 64 bits, since revisions are milliseconds', () => {
    const integers = everySchema(schema).filter(([, { type }]) => type === 'integer');
    expect(integers.length).toBeGreaterThan(3);
    for (const [path, part] of integers) expect(part['format'], path).toBe('int64');
  });

  it('accepts what the old definition did: nothing is required of a resource, and of a condition only type and status', () => {
    const required = everySchema(schema).flatMap(([path, part]) => (part.required ?? []).map((name) => `${path}.${name}`));
    expect(required.filter((path) => !/^object\.status\.(item|secret|consumers)\./.test(path))).toEqual([
      'object.status.conditions.[].type',
      'object.status.conditions.[].status',
    ]);
  });

  it('has its one rule on spec.itemPath alone, so that stored objects stay patchable', () => {
    const ruled = everySchema(schema).filter(([, part]) => 'x-kubernetes-validations' in part);
    expect(ruled.map(([path]) => path)).toEqual(['object.spec.itemPath']);
    expect(ruled[0]?.[1]).toMatchObject({
      maxLength: 2048,
      'x-kubernetes-validations': [
        { rule: expect.stringMatching(/^self\.matches\('/) as string, message: expect.stringContaining('vaults/') as string },
      ],
    });
  });

  it('describes every field to kubectl explain', () => {
    const fields = everySchema(schema).filter(([path]) => /^object\.(type|spec|status)/.test(path) && !/(\[\]|\*)$/.test(path));
    expect(fields.filter(([, { description }]) => description === undefined).map(([path]) => path)).toEqual([]);
  });

  it('is what stands in crds/', () => {
    const file = readFileSync(new URL('../../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8');
    expect(parse(file)).toEqual(definition);
  });
});
