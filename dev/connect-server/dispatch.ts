import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectIdPattern } from '../../src/connect/schema.ts';
import { type Activity, createActivity } from './activity.ts';
import { givesNoAnswer, replyInstead, send, withholdAnswer } from './delivery.ts';
import { devRoutes } from './dev-routes.ts';
import type { Affliction, FaultBoard } from './faults.ts';
import { type ApiRoute, apiRoutes } from './handlers.ts';
import { HttpError } from './http-error.ts';
import { createMetrics } from './metrics.ts';
import { connectVersion, type OpenRoute, openRoutes } from './open-routes.ts';
import { errorReply, type Reply } from './reply.ts';
import type { RequestRecorder } from './requests.ts';
import { createRouter, type RouteMatch } from './router.ts';
import type { Store, StoreView } from './store.ts';
import type { Grant, Tokens } from './tokens.ts';

/** What answering needs. `signal` ends delays when the server closes; `clock` gives milliseconds since the epoch. */
export interface DispatchOptions {
  readonly store: Store;
  readonly tokens: Tokens;
  readonly faults: FaultBoard;
  readonly requests: RequestRecorder;
  readonly clock: () => number;
  readonly signal: AbortSignal;
}

type ConnectRoute = ApiRoute | OpenRoute;

interface Target {
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Answers one request: finds its route, lets an ordered fault strike, carries it out, and records it. Never rejects. */
export type Dispatch = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export function createDispatch({ store, tokens, faults, requests, clock, signal }: DispatchOptions): Dispatch {
  const activity = createActivity(clock);
  const metrics = createMetrics(store);
  const devRouter = createRouter(devRoutes(faults));
  let tokenSeen = false;
  const routes: readonly ConnectRoute[] = [...apiRoutes(store, activity, clock), ...openRoutes(metrics, () => tokenSeen)];
  const connectRouter = createRouter(routes);

  return async (request, response) => {
    const target = targetOf(request);
    try {
      await (target.path.startsWith('/dev/') ? answerDev(request, response, target) : answerConnect(request, response, target));
    } catch (error) {
      console.error('the dev Connect server could not answer:', error);
      response.destroy();
    }
  };

  async function answerDev(request: IncomingMessage, response: ServerResponse, { path }: Target): Promise<void> {
    const found = devRouter(request.method ?? '', path);
    const reply = 'refusal' in found ? errorReply(found.refusal) : await replyOf(() => found.route.handle(request, found.params));
    send(response, reply, undefined);
  }

  async function answerConnect(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const { method = '', url = '' } = request;
    const found = connectRouter(method, target.path);
    const route = 'refusal' in found ? 'unknown' : `${method} ${found.route.template}`;
    const requestId = request.headers['x-request-id']?.toString();
    const open = requests.begin({
      method,
      path: url,
      route,
      at: clock(),
      userAgent: userAgentOf(request),
      ...(requestId === undefined ? {} : { requestId }),
    });
    const { socket } = request;
    const sentBefore = socket.bytesWritten;
    response.once('close', () => open.end(socket.bytesWritten - sentBefore, clock()));

    const affliction = faults.strike({ route, path: url });
    if (affliction.latency > 0 && (await closesWithin(affliction.latency))) return;
    if (givesNoAnswer(affliction.fault)) return withholdAnswer(response, affliction.fault);
    const reply =
      replyInstead(affliction.fault) ??
      ('refusal' in found ? errorReply(found.refusal) : await carryOut(request, target, found, affliction));
    metrics.answered(route, reply.status);
    response.setHeader('1Password-Connect-Version', connectVersion);
    open.answer(reply.status);
    send(response, reply, affliction.fault);
  }

  function carryOut(request: IncomingMessage, target: Target, found: RouteMatch<ConnectRoute>, { staleView }: Affliction): Promise<Reply> {
    const { route, params } = found;
    return replyOf(async () => {
      if ('answer' in route) return route.answer();
      const grant = tokens.authenticate(request.headers.authorization);
      tokenSeen = true;
      const view: StoreView = route.method === 'GET' && staleView !== undefined ? staleView : store;
      const reply = await replyOf(() => route.handle({ request, params, query: target.query, grant, view }));
      recordActivity(activity, request, { route, params }, grant, reply);
      return reply;
    });
  }

  async function closesWithin(ms: number): Promise<boolean> {
    await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
    return signal.aborted;
  }
}

/** Only what was carried out or denied is recorded, and only for vaults: a request that fails in another way touched nothing. */
function recordActivity(
  activity: Activity,
  request: IncomingMessage,
  { route, params }: RouteMatch<ApiRoute>,
  grant: Grant,
  { status, item }: Reply,
): void {
  if (route.records === undefined || (status >= 400 && status !== 403)) return;
  const { action, type } = route.records;
  const itemId = item?.id ?? params['item'];
  activity.record({
    action,
    result: status === 403 ? 'DENY' : 'SUCCESS',
    grant,
    userAgent: userAgentOf(request),
    requestIp: request.socket.remoteAddress ?? '',
    resource: {
      type,
      ...(params['vault'] === undefined ? {} : { vault: { id: params['vault'] } }),
      ...(itemId !== undefined && connectIdPattern.test(itemId) ? { item: { id: itemId } } : {}),
      ...(item === undefined ? {} : { itemVersion: item.version }),
    },
  });
}

/** What a handler answers, or the answer for what it throws. */
async function replyOf(handle: () => Reply | Promise<Reply>): Promise<Reply> {
  try {
    return await handle();
  } catch (error) {
    if (error instanceof HttpError) return errorReply(error);
    console.error('the dev Connect server failed:', error);
    return errorReply(new HttpError(500, 'Internal server error'));
  }
}

function targetOf({ url = '/' }: IncomingMessage): Target {
  const mark = url.indexOf('?');
  return mark < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

function userAgentOf(request: IncomingMessage): string {
  return request.headers['user-agent'] ?? '';
}
