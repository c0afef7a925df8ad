import { describe, expect, it } from 'vitest';
import { copiedMetadata, desiredMetadata, sameMetadata } from '../../../src/domain/copied-metadata.ts';

const none = { labels: {}, annotations: {} };
const autoRestart = { 'operator.1password.io/auto-restart': 'true' };
const trackingKeys = [
  'app.kubernetes.io/instance',
  'argocd.argoproj.io/instance',
  'kustomize.toolkit.fluxcd.io/name',
  'helm.toolkit.fluxcd.io/name',
];
const record = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, 'x']));

describe('what is copied of a resource', () => {
  it('is its labels, but those by which GitOps tools track objects', () => {
    const labels = { ...record(trackingKeys), team: 'shop', 'app.kubernetes.io/name': 'db' };
    expect(copiedMetadata(labels, {}, false).labels).toEqual({ team: 'shop', 'app.kubernetes.io/name': 'db' });
  });

  it('is no annotation but auto-restart, and what asks for a sync', () => {
    const ours = { ...autoRestart, 'keyturn.dev/sync': 'now' };
    expect(copiedMetadata({}, { note: 'x', 'keyturn.dev/resume': 'true', ...ours }, false).annotations).toEqual(ours);
  });

  it('is its annotations when asked for, but those of tools and of the operators', () => {
    const tools = [
      'kubectl.kubernetes.io/last-applied-configuration',
      'kubernetes.io/x',
      'meta.helm.sh/release-name',
      'keyturn.dev/adopt',
      'operator.1password.io/item-path',
    ];
    const notes = { ...record([...trackingKeys, ...tools]), ...autoRestart, 'example.com/note': 'n' };
    expect(copiedMetadata({}, notes, true).annotations).toEqual({ ...autoRestart, 'example.com/note': 'n' });
  });
});

describe('the metadata of a Secret', () => {
  const ours = { labels: { 'keyturn.dev/managed': 'true' }, annotations: { 'operator.1password.io/item-version': '1' } };
  const existing = { labels: { theirs: 'l' }, annotations: { theirs: 'a' } };
  const copied = { labels: { team: 'shop' }, annotations: autoRestart };

  it("holds what was copied, what is ours, and others' labels and annotations", () => {
    const { labels, annotations } = desiredMetadata(existing, copied, ours);
    expect(labels).toEqual({ theirs: 'l', team: 'shop', 'keyturn.dev/managed': 'true' });
    expect(annotations).toMatchObject({ theirs: 'a', ...autoRestart, 'operator.1password.io/item-version': '1' });
  });

  it("loses what is gone from the resource, and keeps others' labels", () => {
    const before = desiredMetadata(existing, copied, ours);
    expect(desiredMetadata(before, none, ours)).toEqual({
      labels: { ...existing.labels, ...ours.labels },
      annotations: { ...existing.annotations, ...ours.annotations },
    });
  });

  it('is the same when it is asked for twice', () => {
    const once = desiredMetadata(existing, copied, ours);
    expect(desiredMetadata(once, copied, ours)).toEqual(once);
  });

  it('follows a changed label', () => {
    const before = desiredMetadata(existing, copied, ours);
    expect(desiredMetadata(before, { ...copied, labels: { team: 'pay' } }, ours).labels['team']).toBe('pay');
  });

  it.each(['', 'null', '5', '[]', '{', '{"labels":"l","annotations":"a"}', '{"labels":[5,null]}'])(
    "keeps others' metadata when the record of what was copied is %j",
    (copiedRecord) => {
      const foreign = { labels: { l: '1' }, annotations: { a: '1', 'keyturn.dev/copied': copiedRecord } };
      expect(desiredMetadata(foreign, none, none)).toEqual({ labels: { l: '1' }, annotations: { a: '1' } });
    },
  );
});

describe('two sets of labels are the same', () => {
  it.each([
    [{}, {}, true],
    [{ a: '1', b: '2' }, { b: '2', a: '1' }, true],
    [{ a: '1' }, { a: '2' }, false],
    [{ a: '1' }, { b: '1' }, false],
    [{}, { a: '1' }, false],
    [{ a: '1' }, {}, false],
  ])('%j and %j: %j', (a, b, same) => {
    expect(sameMetadata(a, b)).toBe(same);
  });
});
