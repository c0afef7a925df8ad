import { describe, expect, it } from 'vitest';
import { type Access, createAccessReview } from '../../../src/kube/access-review.ts';
import { KubeError, type KubeRequest } from '../../../src/kube/client.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const user = { username: 'system:serviceaccount:monitoring:prometheus', uid: '1', groups: ['system:authenticated'], extra: { a: ['b'] } };

/** An API server that knows one token, whose owner may or may not. */
function setUp() {
  const clock = createFakeClock();
  const requests: KubeRequest[] = [];
  const state = { allowed: true, answers: (): Promise<unknown> => Promise.resolve() };
  const kube = {
    async request<T>(request: KubeRequest): Promise<T> {
      requests.push(request);
      await state.answers();
      const { spec } = request.body as { readonly spec: { readonly token?: string } };
      const status =
        spec.token === undefined
          ? { allowed: state.allowed }
          : spec.token.startsWith('good')
            ? { authenticated: true, user }
            : { error: 'invalid bearer token' };
      return { status } as T;
    },
  };
  const failures: unknown[] = [];
  const onFailure = (error: unknown): void => void failures.push(error);
  return { clock, requests, state, failures, review: createAccessReview({ kube, clock, path: '/metrics', verb: 'get', onFailure }) };
}

describe('a review of access', () => {
  it('asks whose the token is, and whether they may', async () => {
    const { requests, review } = setUp();
    expect(await review('Bearer good')).toBe('allowed');
    expect(requests.map(({ method, path, body }) => ({ method, path, spec: (body as { readonly spec: object }).spec }))).toEqual([
      { method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews', spec: { token: 'good' } },
      {
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        spec: {
          user: user.username,
          uid: '1',
          groups: user.groups,
          extra: user.extra,
          nonResourceAttributes: { path: '/metrics', verb: 'get' },
        },
      },
    ]);
  });

  it.each<[string, string | undefined, number]>([
    ['no header', undefined, 0],
    ['another scheme', 'Basic Z29vZA==', 0],
    ['no token', 'Bearer ', 0],
    ['two tokens', 'Bearer good good', 0],
    ['a token that nobody knows', 'Bearer bad', 1],
  ])('knows nobody by %s', async (_, header, count) => {
    const { requests, review } = setUp();
    expect([await review(header), requests.length]).toEqual(['unauthenticated', count]);
  });

  it('refuses whom the API server does not let', async () => {
    const { state, review } = setUp();
    state.allowed = false;
    expect(await review('Bearer good')).toBe('forbidden');
  });

  it('is kept for a while: a minute when it allowed, ten seconds when not', async () => {
    const { clock, requests, state, review } = setUp();
    const answers: Access[] = [];
    const ask = async (wait: number): Promise<void> => {
      clock.advance(wait);
      answers.push(await review('Bearer good'));
    };
    await ask(0);
    state.allowed = false;
    await ask(59_999);
    expect(requests).toHaveLength(2);
    await ask(1);
    state.allowed = true;
    await ask(9_999);
    await ask(1);
    expect(answers).toEqual(['allowed', 'allowed', 'forbidden', 'forbidden', 'allowed']);
    expect(requests).toHaveLength(6);
  });

  it('is one for all who ask with a token at a time', async () => {
    const { requests, review } = setUp();
    expect(await Promise.all(Array.from({ length: 20 }, () => review('Bearer good')))).toEqual(Array(20).fill('allowed'));
    expect(requests).toHaveLength(2);
  });

  it('is not made for many tokens at a time', async () => {
    const { requests, state, review } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    state.answers = () => promise;
    const asked = Array.from({ length: 100 }, (_, index) => review(`Bearer bad${index}`));
    resolve();
    const answers = await Promise.all(asked);
    expect([answers.filter((answer) => answer === 'busy').length, requests.length]).toEqual([92, 8]);
    expect(await review('Bearer good')).toBe('allowed');
  });

  it('of more tokens than are remembered is made again', async () => {
    const { requests, review } = setUp();
    for (let index = 0; index <= 500; index += 1) await review(`Bearer bad${index}`);
    requests.length = 0;
    await review('Bearer bad500');
    expect(requests).toHaveLength(0);
    await review('Bearer bad0');
    expect(requests).toHaveLength(1);
  });

  it('that allowed is remembered, however many tokens are refused', async () => {
    const { requests, review } = setUp();
    await review('Bearer good');
    for (let index = 0; index < 1_000; index += 1) await review(`Bearer bad${index}`);
    requests.length = 0;
    expect([await review('Bearer good'), requests.length]).toEqual(['allowed', 0]);
  });

  it('that allowed is made again, however many tokens are under review', async () => {
    const { clock, state, review } = setUp();
    await review('Bearer good');
    clock.advance(60_000);
    const { promise, resolve } = Promise.withResolvers<void>();
    state.answers = () => promise;
    const asked = ['bad0', 'bad1', 'bad2', 'bad3', 'bad4', 'bad5', 'bad6', 'bad7', 'good', 'good2'].map((token) =>
      review(`Bearer ${token}`),
    );
    resolve();
    expect((await Promise.all(asked)).slice(-2)).toEqual(['allowed', 'busy']);
  });

  it('that the API server does not give is told of once, until it has given one', async () => {
    const { state, failures, review } = setUp();
    const refusal = new KubeError('POST', '/x', 403, 'Forbidden');
    for (const working of [false, false, true, false]) {
      state.answers = () => (working ? Promise.resolve() : Promise.reject(refusal));
      await review(`Bearer ${working ? 'bad' : 'good'}`).catch(() => {});
    }
    expect(failures).toEqual([refusal, refusal]);
  });

  it('that the API server does not answer is no answer, and is not kept', async () => {
    const { state, review } = setUp();
    state.answers = () => Promise.reject(new KubeError('POST', '/x', 503, 'Refused'));
    await expect(review('Bearer good')).rejects.toThrow(KubeError);
    state.answers = () => Promise.resolve();
    expect(await review('Bearer good')).toBe('allowed');
  });
});
