import { describe, expect, it } from 'vitest';
import { createRevisionTimes } from '../../../src/controllers/revision-times.ts';
import { type ManagedSecret, reduceSecret } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';

const start = Date.UTC(2026, 0, 1);
const second = 1_000;

function setUp() {
  const secrets = createStore<ManagedSecret>();
  const revisedAt = createRevisionTimes(secrets);
  let version = 0;
  /** The Secret as our write of that time left it. */
  const put = (revisions: Readonly<Record<string, number>>, writtenAt: number, uid = 'u'): ManagedSecret => {
    version += 1;
    const annotations = { 'keyturn.dev/revisions': JSON.stringify(revisions) };
    const metadata = { namespace: 'ns', name: 'db', uid, resourceVersion: String(version), annotations };
    const secret = { ...reduceSecret({ metadata }), writtenAt };
    secrets.put(secret);
    return secret;
  };
  return { secrets, revisedAt: (revision: number) => revisedAt({ namespace: 'ns', name: 'db' }, revision), put };
}

describe('the time at which a revision was written', () => {
  it('is that of the write that it was first seen with', () => {
    const { revisedAt, put } = setUp();
    put({ password: start }, start + 8 * second);
    put({ password: start }, start + 60 * second);
    expect(revisedAt(start)).toBe(start + 8 * second);
  });

  it('is kept for a key while another one changes', () => {
    const { revisedAt, put } = setUp();
    put({ user: start }, start + second);
    put({ user: start, password: start + 60 * second }, start + 61 * second);
    expect([revisedAt(start), revisedAt(start + 60 * second)]).toEqual([start + second, start + 61 * second]);
  });

  it('is known of a removed key, too', () => {
    const { revisedAt, put } = setUp();
    put({ user: -start }, start + second);
    expect(revisedAt(start)).toBe(start + second);
  });

  it('is not known of an earlier revision than the first that was seen', () => {
    const { revisedAt, put } = setUp();
    put({ user: start, password: start + 60 * second }, start + 61 * second);
    expect(revisedAt(start)).toBeUndefined();
  });

  it('is forgotten with the revision', () => {
    const { revisedAt, put } = setUp();
    put({ user: start }, start + second);
    put({ user: start + 60 * second }, start + 61 * second);
    expect(revisedAt(start)).toBeUndefined();
  });

  it('is that of the write before when a Secret comes back with its record', () => {
    const { secrets, revisedAt, put } = setUp();
    secrets.remove(put({ user: start }, start + second));
    put({ user: start }, start + 30 * second, 'v');
    expect(revisedAt(start)).toBe(start + second);
  });

  it('is forgotten of Secrets that are away when they are too many', () => {
    const { secrets, revisedAt, put } = setUp();
    const first = put({ user: start }, start + second);
    secrets.remove(first);
    for (let index = 0; index < 1_000; index += 1) {
      const other = { ...first, name: `other-${index}` };
      secrets.put(other);
      secrets.remove(other);
    }
    expect(revisedAt(start)).toBeUndefined();
  });
});
