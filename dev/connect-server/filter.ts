import { HttpError } from './http-error.ts';

/** Decides whether a name or title passes. */
export type Filter = (text: string) => boolean;

/**
 * Reads a SCIM filter, `attribute eq "text"` or `attribute co "text"`; the text is a JSON string, so quotes and backslashes are escaped
 * (RFC 7644, 3.4.2.2). `caseExact` says whether letter case counts.
 * @throws HttpError 400
 */
export function parseFilter(filter: string, attributes: readonly string[], caseExact: boolean): Filter {
  const [, attribute = '', operator = '', literal = ''] = /^\s*(\w+)\s+(\w+)\s+(".*")\s*$/s.exec(filter) ?? [];
  if (!attributes.includes(attribute.toLowerCase())) throw invalid(attributes);
  const wanted = readLiteral(literal);
  if (wanted === undefined) throw invalid(attributes);
  const fold = (text: string) => (caseExact ? text : text.toLowerCase());
  const folded = fold(wanted);
  switch (operator.toLowerCase()) {
    case 'eq':
      return (text) => fold(text) === folded;
    case 'co':
      return (text) => fold(text).includes(folded);
    default:
      throw invalid(attributes);
  }
}

function readLiteral(literal: string): string | undefined {
  try {
    const value: unknown = JSON.parse(literal);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function invalid(attributes: readonly string[]): HttpError {
  return new HttpError(
    400,
    `Invalid filter; use ${attributes.join('|')} eq "text", with quotes and backslashes in the text escaped by a backslash`,
  );
}
