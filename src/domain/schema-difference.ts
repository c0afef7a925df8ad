/** A schema as OpenAPI has it, as far as we read it. */
export interface ObjectSchema {
  readonly properties?: Readonly<Record<string, ObjectSchema>>;
  readonly items?: ObjectSchema;
}

/**
 * Fields that `wanted` has and `served` has not, such as `status.item`; of a field that is missing, none below it. A map or an object of any shape
 * lacks nothing. Fields that `served` has besides are a newer version's, and no difference.
 */
export function missingFields(wanted: ObjectSchema, served: ObjectSchema, path = ''): readonly string[] {
  const below = wanted.items === undefined ? [] : missingFields(wanted.items, served.items ?? {}, `${path}[]`);
  if (wanted.properties === undefined) return below;
  const { properties: there } = served;
  return Object.entries(wanted.properties).flatMap(([name, schema]) => {
    const field = path === '' ? name : `${path}.${name}`;
    const found = there?.[name];
    return found === undefined ? [field] : missingFields(schema, found, field);
  });
}
