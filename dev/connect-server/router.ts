import { HttpError } from './http-error.ts';

/** One operation: a method and a path template such as `/v1/vaults/{vault}`. */
export interface Route {
  readonly method: string;
  readonly template: string;
}

export type Params = Readonly<Record<string, string>>;

export interface RouteMatch<R extends Route> {
  readonly route: R;
  readonly params: Params;
}

/** Finds the route of a request; a trailing slash makes no difference. An unknown path is refused with 404, an unknown method of a known one with 405. */
export type Router<R extends Route> = (method: string, path: string) => RouteMatch<R> | { readonly refusal: HttpError };

export function createRouter<R extends Route>(routes: readonly R[]): Router<R> {
  const compiled = routes.map((route) => ({ route, segments: segmentsOf(route.template) }));
  return (method, path) => {
    const segments = segmentsOf(path);
    const matches = compiled.flatMap(({ route, segments: pattern }) => {
      const params = matchSegments(pattern, segments);
      return params === undefined ? [] : [{ route, params }];
    });
    return matches.find(({ route }) => route.method === method) ?? { refusal: refusalOf(method, matches) };
  };
}

function refusalOf(method: string, matches: readonly { readonly route: Route }[]): HttpError {
  if (matches.length === 0) return new HttpError(404, 'There is nothing at this path');
  const allow = matches.map(({ route }) => route.method).join(', ');
  return new HttpError(405, `${method} is not allowed here; use ${allow}`, { Allow: allow });
}

function segmentsOf(path: string): string[] {
  return path.replace(/\/$/, '').split('/').slice(1);
}

function matchSegments(pattern: readonly string[], segments: readonly string[]): Params | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (part.startsWith('{')) params[part.slice(1, -1)] = segment;
    else if (part !== segment) return undefined;
  }
  return params;
}
