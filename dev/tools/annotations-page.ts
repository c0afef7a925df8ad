/** `npm run annotations` writes the page of annotations and other names of src/api/names.ts; with --check it only compares. */
import * as names from '../../src/api/names.ts';
import { tableOf, writePage } from './generated-page.ts';

/** What a name says on one kind of object. */
interface Use {
  readonly on: string;
  readonly by: 'you' | 'Keyturn' | 'Go operator';
  readonly value: string;
  readonly meaning: string;
}

type AnnotationName = keyof typeof names.annotations;
/** The names that are neither annotations nor describe the resource, which has a page of its own. */
type OtherName = Exclude<keyof typeof names, 'annotations' | 'group' | 'version' | 'kind' | 'plural' | 'workloadKinds'>;

const autoRestart =
  'whether a change restarts its consumers: the first that is set of who asks for the Secret, workload, namespace decides, then `AUTO_RESTART`';

/** A name without an entry here does not pass the check of types. */
const uses: Readonly<Record<AnnotationName, readonly Use[]>> = {
  itemPath: [
    {
      on: 'Deployment, or its pod template',
      by: 'you',
      value: '`vaults/<id or name>/items/<id or title>`',
      meaning: 'asks for a Secret of this item. The template counts when the Deployment itself has neither this annotation nor `item-name`',
    },
    {
      on: 'Secret',
      by: 'Keyturn',
      value: '`vaults/<id>/items/<id>`',
      meaning: 'the item that the Secret was made of. A Secret that nobody owns and that names the same item here is taken over',
    },
  ],
  itemName: [
    {
      on: 'Deployment, or its pod template',
      by: 'you',
      value: 'a name',
      meaning: 'the name of that Secret (not of the item)',
    },
  ],
  itemVersion: [
    {
      on: 'Secret',
      by: 'Keyturn',
      value: 'a number',
      meaning: "the item's version whose values the Secret holds; of a frozen item the present version, whose values it does not hold",
    },
  ],
  autoRestart: [
    {
      on: 'OnePasswordItem; Deployment that asks for a Secret, or its pod template',
      by: 'you',
      value: '`true` or `false`, also as `1`, `t`, `0`, `f`, in any case; anything else means `false` and is told of (`InvalidAnnotation`)',
      meaning: autoRestart,
    },
    {
      on: 'workload (not its pod template)',
      by: 'you',
      value: 'the same',
      meaning: 'the same, where who asks for the Secret says nothing',
    },
    { on: 'Namespace', by: 'you', value: 'the same', meaning: 'the same, for all workloads in it, where neither of these says anything' },
    { on: 'Secret', by: 'Keyturn', value: 'the same', meaning: 'copied from who asks for it; it counts only while nobody does' },
  ],
  lastRestarted: [
    {
      on: 'pod template of a Deployment, StatefulSet or DaemonSet',
      by: 'Keyturn',
      value: 'RFC 3339, whole seconds',
      meaning: 'when it was restarted last; the Go operator writes it too',
    },
  ],
  sync: [
    {
      on: 'OnePasswordItem; Deployment that asks for a Secret (not its pod template)',
      by: 'you',
      value: 'anything new',
      meaning: 'has the item fetched now, once for each value',
    },
    { on: 'Secret', by: 'Keyturn', value: 'the same', meaning: 'the last value for which that was done' },
  ],
  adopt: [
    {
      on: 'Secret that nobody owns',
      by: 'you',
      value: '`true`',
      meaning: 'hands the Secret over to the resource of its name, or the Deployment that asks for it',
    },
  ],
  revisions: [
    {
      on: 'Secret',
      by: 'Keyturn',
      value: 'JSON: key → milliseconds since the Unix epoch',
      meaning:
        'when each value last changed: below 0 for a key that was removed then, `*` for the whole Secret. What is not there has not changed since the Secret was made',
    },
  ],
  revisedAt: [
    {
      on: 'Secret',
      by: 'Keyturn',
      value: 'JSON: revision → milliseconds since the Unix epoch',
      meaning: 'when the writes of these revisions were carried out, where the field managers no longer tell',
    },
  ],
  copied: [
    {
      on: 'Secret',
      by: 'Keyturn',
      value: 'JSON: `labels`, `annotations`',
      meaning: 'the names of what was copied from who asks for it, so that a removal there is told from somebody else’s label',
    },
  ],
  secret: [
    {
      on: 'Deployment that asks for a Secret',
      by: 'Keyturn',
      value: 'JSON: `item`, `secret`',
      meaning: 'what the Secret holds, as [a resource has it in its status](resource.md#status)',
    },
  ],
  knownRevisions: [
    {
      on: 'workload',
      by: 'Keyturn',
      value: 'JSON: Secret → revision',
      meaning: 'what its pods are known to have without a restart by Keyturn; nothing rolls by it',
    },
    {
      on: 'pod template of a Deployment, StatefulSet or DaemonSet',
      by: 'Keyturn',
      value: 'the same',
      meaning: 'what it was restarted for; of the two the larger counts',
    },
  ],
  restartedRevisions: [
    {
      on: 'Argo Rollout',
      by: 'Keyturn',
      value: 'JSON: Secret → revision, and `*`: the time in `spec.restartAt`',
      meaning: 'what it was restarted for',
    },
  ],
  restart: [{ on: 'workload', by: 'you', value: '`skip`', meaning: 'its pods stay as they are when a value changes (`RestartSkipped`)' }],
  minRestartInterval: [
    {
      on: 'workload',
      by: 'you',
      value: 'a Go duration, as `1h30m`',
      meaning: 'so much time passes between two restarts; what changes meanwhile waits (`RestartQueued`)',
    },
  ],
  resume: [
    {
      on: 'OnePasswordItem; Deployment that asks for a Secret',
      by: 'you',
      value: 'a version of the item, or `true` for every one',
      meaning: 'lets rollouts go on that are held (`RolloutsHeld`)',
    },
  ],
};

const others: Readonly<Record<OtherName, Use & { readonly what: string }>> = {
  managedLabel: {
    what: 'label',
    on: 'Secret',
    by: 'Keyturn',
    value: '`true`',
    meaning: 'the Secrets that Keyturn watches are those that have it; taken away, it comes back',
  },
  legacyFinalizer: {
    what: 'finalizer',
    on: 'OnePasswordItem, Deployment',
    by: 'Go operator',
    value: '',
    meaning: 'taken out when met: garbage collection does its work',
  },
  freezingTag: {
    what: 'tag in 1Password',
    on: 'item',
    by: 'you',
    value: '',
    meaning: 'Secrets made of the item keep the values they have (`ItemFrozen`)',
  },
  fieldManager: {
    what: 'field manager; component of events; user agent',
    on: 'all that is written',
    by: 'Keyturn',
    value: '',
    meaning: 'who wrote it',
  },
  leaseName: {
    what: 'Lease',
    on: 'namespace of the operator',
    by: 'Keyturn',
    value: '',
    meaning: 'which replica works, with `--leader-elect`; that of the Go operator too, so that the two never act together',
  },
};

const introduction = `# Annotations, labels and other names

<!-- Generated from src/api/names.ts by \`npm run annotations\`; the texts stand in dev/tools/annotations-page.ts. -->

What is under \`operator.1password.io/\` means what it means to the Go operator. What Keyturn adds is under \`keyturn.dev/\`. Those that you write are
read wherever they come from: a manifest, a GitOps tool, \`kubectl annotate\`. Those that Keyturn writes are its memory, and are best left
alone: one on a Secret that cannot be read is written anew, and restarts nobody.

A _workload_ is a ${names.workloadKinds.slice(0, -1).join(', ')} or Argo ${names.workloadKinds.at(-1)}. How they play together is in the
[README](../../README.md#restarts).`;

const copying = `## What is copied to the Secret

Of a OnePasswordItem all labels, but those by which GitOps tools track objects: \`app.kubernetes.io/instance\`, \`argocd.argoproj.io/*\`,
\`kustomize.toolkit.fluxcd.io/*\` and \`helm.toolkit.fluxcd.io/*\`. With \`--enable-annotations\` its annotations too, but those of the same tools and
\`kubectl.kubernetes.io/*\`, \`kubernetes.io/*\`, \`meta.helm.sh/*\`, \`keyturn.dev/*\` and \`operator.1password.io/*\`. Without the flag it is
\`${names.annotations.autoRestart}\` and \`${names.annotations.sync}\` alone, which are copied from a Deployment as well. What others write onto
the Secret beside that stays.`;

const annotationRows = (Object.keys(names.annotations) as AnnotationName[]).flatMap((name) =>
  uses[name].map(({ on, by, value, meaning }) => [`\`${names.annotations[name]}\``, on, by, value, meaning]),
);
const texts: Readonly<Record<OtherName, string>> = names;
const otherRows = (Object.keys(others) as OtherName[]).map((name) => {
  const { what, on, by, value, meaning } = others[name];
  return [`\`${texts[name]}\``, what, on, by, value, meaning];
});

await writePage({
  page: 'docs/reference/annotations.md',
  content: [
    introduction,
    '## Annotations',
    tableOf(['annotation', 'on', 'written by', 'value', 'meaning'], annotationRows),
    copying,
    '## Other names',
    tableOf(['name', 'what', 'on', 'written by', 'value', 'meaning'], otherRows),
  ].join('\n\n'),
  source: 'src/api/names.ts',
  script: 'annotations',
});
