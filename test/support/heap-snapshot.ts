/** A heap snapshot of V8, as far as a search needs it. Nodes are numbered from 0, which is the root. */
export interface HeapGraph {
  /** Every text of the snapshot, with a node that has it: strings, names of properties and classes, and ropes put together. */
  texts(): readonly (readonly [text: string, node: number | undefined])[];
  /** A shortest path of references that keeps a node alive: types and names, never the text of a string. */
  path(node: number | undefined): string;
}

interface WireSnapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[], ...unknown[]];
      readonly edge_fields: readonly string[];
      readonly edge_types: readonly [readonly string[], ...unknown[]];
    };
  };
  readonly nodes: readonly number[];
  readonly edges: readonly number[];
  readonly strings: readonly string[];
}

interface Edge {
  readonly type: string;
  /** Of a property, a variable or an internal slot; an index otherwise. */
  readonly name: string | number;
  readonly to: number;
}

/** How many references of a path are told, counted from the value. */
const pathLength = 12;
/** Nodes whose name says what they are; the name of any other may be a value. */
const named = new Set(['object', 'closure', 'code', 'native', 'synthetic', 'hidden']);

/** Reads the text that the inspector's HeapProfiler gives. */
export function readHeapSnapshot(text: string): HeapGraph {
  const { snapshot, nodes, edges, strings } = JSON.parse(text) as WireSnapshot;
  const { node_fields: nodeFields, edge_fields: edgeFields } = snapshot.meta;
  const [nodeTypes] = snapshot.meta.node_types;
  const [edgeTypes] = snapshot.meta.edge_types;
  const nodeCount = nodes.length / nodeFields.length;
  const nodeField = (node: number, field: number): number => nodes[node * nodeFields.length + field] ?? 0;
  const [typeField, nameField, edgeCountField] = ['type', 'name', 'edge_count'].map((name) => nodeFields.indexOf(name)) as [
    number,
    number,
    number,
  ];
  const [edgeTypeField, edgeNameField, toField] = ['type', 'name_or_index', 'to_node'].map((name) => edgeFields.indexOf(name)) as [
    number,
    number,
    number,
  ];
  const firstEdges = new Uint32Array(nodeCount + 1);
  for (let node = 0; node < nodeCount; node += 1) firstEdges[node + 1] = (firstEdges[node] ?? 0) + nodeField(node, edgeCountField);

  const typeOf = (node: number): string => nodeTypes[nodeField(node, typeField)] ?? 'unknown';
  const nameOf = (node: number): string => strings[nodeField(node, nameField)] ?? '';

  function* edgesOf(node: number): Generator<Edge> {
    for (let edge = firstEdges[node] ?? 0; edge < (firstEdges[node + 1] ?? 0); edge += 1) {
      const field = (index: number): number => edges[edge * edgeFields.length + index] ?? 0;
      const type = edgeTypes[field(edgeTypeField)] ?? 'unknown';
      const name = field(edgeNameField);
      yield { type, name: type === 'element' || type === 'hidden' ? name : (strings[name] ?? ''), to: field(toField) / nodeFields.length };
    }
  }

  let via: ReturnType<typeof shortestPaths> | undefined;
  const isRope = (node: number): boolean => typeOf(node) === 'concatenated string';

  /** The text of a rope, whose halves may be ropes in turn. */
  function ropeText(rope: number): string {
    const texts: string[] = [];
    const rest = [rope];
    for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
      if (!isRope(node)) {
        texts.push(nameOf(node));
        continue;
      }
      const halves = [...edgesOf(node)];
      for (const half of ['second', 'first']) rest.push(...halves.filter(({ name }) => name === half).map(({ to }) => to));
    }
    return texts.join('');
  }

  /** Ropes that are part of no other rope: together they hold every text once. */
  function wholeRopes(): readonly number[] {
    const ropes = Array.from({ length: nodeCount }, (_, node) => node).filter(isRope);
    const parts = new Set(ropes.flatMap((rope) => [...edgesOf(rope)].map(({ to }) => to)));
    return ropes.filter((rope) => !parts.has(rope));
  }

  return {
    texts() {
      const holders = new Map<number, number>();
      for (let node = 0; node < nodeCount; node += 1) holders.set(nodeField(node, nameField), node);
      return [
        ...strings.map((string, index) => [string, holders.get(index)] as const),
        ...wholeRopes().map((rope) => [ropeText(rope), rope] as const),
      ];
    },
    path(last) {
      if (last === undefined) return 'a name in the snapshot';
      via ??= shortestPaths();
      const steps = [typeOf(last)];
      for (let step = via.get(last); step !== undefined && steps.length < pathLength; step = via.get(step.from)) {
        steps.unshift(`${label(step.from)} -${step.edge}->`);
      }
      return steps.join(' ');
    },
  };

  function label(node: number): string {
    const type = typeOf(node);
    return named.has(type) ? `${type} ${nameOf(node)}` : type;
  }

  /** Of each node that is reached from the root by references that are not weak: the last of them, on a shortest path. */
  function shortestPaths(): ReadonlyMap<number, { readonly from: number; readonly edge: string }> {
    const last = new Map<number, { readonly from: number; readonly edge: string }>();
    const seen = new Set([0]);
    for (const from of seen) {
      for (const { type, name, to } of edgesOf(from)) {
        if (type === 'weak' || seen.has(to)) continue;
        seen.add(to);
        // Positions are left out, so that the elements of one array are held alike.
        last.set(to, { from, edge: /^\d+$/.test(String(name)) ? '[]' : String(name) });
      }
    }
    return last;
  }
}
