import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { fileKeys, settingOf } from '../../../src/config/settings.ts';
import { version } from '../../../src/version.ts';
import { defaultValues, isMap, type Values, type ValuesSchema, valuesSchema } from '../../support/chart-values.ts';
import { chart } from '../../support/helm.ts';

/** The keys of values.yaml that the schema knows as keys, with those above them. */
function keysOf(schema: ValuesSchema, path = ''): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    if (value.deprecated === true || (path === '' && key === 'global') || path === 'operator.config.') return [];
    return [`${path}${key}`, ...keysOf(value, `${path}${key}.`)];
  });
}

function keysIn(values: Values, schema: ValuesSchema, path = ''): readonly string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const own = schema.properties?.[key];
    return [`${path}${key}`, ...(isMap(value) && own?.properties !== undefined ? keysIn(value, own, `${path}${key}.`) : [])];
  });
}

/** The keys whose value may not be taken away with null, as templates count on it: those of settings, and of what is not empty by default. */
function indispensable(values: Values, schema: ValuesSchema, path = ''): readonly string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const own = schema.properties?.[key];
    const place = `${path}${key}`;
    if (!isMap(value)) return value === null || value === '' || (Array.isArray(value) && value.length === 0) ? [] : [place];
    return own?.properties === undefined || Object.keys(value).length === 0 ? [] : [place, ...indispensable(value, own, `${place}.`)];
  });
}

function requiredBy({ properties = {}, required = [] }: ValuesSchema, path = ''): readonly string[] {
  return [
    ...required.map((key) => `${path}${key}`),
    ...Object.entries(properties).flatMap(([key, value]) => requiredBy(value, `${path}${key}.`)),
  ];
}

function everySchema(schema: ValuesSchema, path: string): readonly (readonly [string, ValuesSchema])[] {
  return [[path, schema], ...Object.entries(schema.properties ?? {}).flatMap(([key, value]) => everySchema(value, `${path}.${key}`))];
}

const { operator } = defaultValues as { readonly operator: Values };

describe('the chart', () => {
  test("has the version of package.json, as the image's tag too", () => {
    expect(parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8'))).toMatchObject({ version, appVersion: version });
  });

  test('has no folder of definitions, which Helm would install by itself', () => {
    expect(readdirSync(chart)).not.toContain('crds');
  });
});

describe('the schema of values', () => {
  test('has the keys of values.yaml, in their order', () => {
    expect(keysOf(valuesSchema)).toEqual(keysIn(defaultValues, valuesSchema));
  });

  test.each(everySchema(valuesSchema, 'values').filter(([, { properties }]) => properties !== undefined))(
    'takes no other keys in %s',
    (_path, { additionalProperties }) => {
      expect(additionalProperties).toBe(false);
    },
  );

  test('says of every value what it is', () => {
    const silent = everySchema(valuesSchema, 'values').filter(
      ([path, { description }]) => path !== 'values' && !description?.endsWith('.'),
    );
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  test('lets nobody take away what templates count on', () => {
    expect(requiredBy(valuesSchema).toSorted()).toEqual(indispensable(defaultValues, valuesSchema).toSorted());
  });

  test('knows every key of the configuration file', () => {
    expect(Object.keys(valuesSchema.properties?.['operator']?.properties?.['config']?.properties ?? {})).toEqual(fileKeys);
  });
});

describe('the values', () => {
  const own = fileKeys.filter((key) => Object.hasOwn(operator, key) && settingOf(key).default !== undefined);

  test('let the Job of the definition end before Helm, which waits five minutes, gives up', () => {
    expect((defaultValues['crds'] as { readonly activeDeadlineSeconds: number }).activeDeadlineSeconds).toBeLessThan(5 * 60);
  });

  test.each(own)('have the default of the operator for %s', (key) => {
    const held = operator[key];
    expect(Array.isArray(held) ? held.join(',') : String(held)).toBe(settingOf(key).default);
  });
});
