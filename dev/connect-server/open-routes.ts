import type { Metrics } from './metrics.ts';
import { jsonReply, type Reply, textReply } from './reply.ts';
import type { Route } from './router.ts';

/** The version of the API that is spoken; clients ask for at least 1.3 before they read files. */
export const connectVersion = '1.7.1';

/** An operation of Connect that needs no token. */
export interface OpenRoute extends Route {
  readonly answer: () => Reply | Promise<Reply>;
}

/** `/heartbeat`, `/health` and `/metrics`. As in Connect, `sync` is idle until a valid token has been seen. */
export function openRoutes(metrics: Metrics, tokenSeen: () => boolean): readonly OpenRoute[] {
  return [
    { method: 'GET', template: '/heartbeat', answer: () => textReply('.') },
    { method: 'GET', template: '/health', answer: () => jsonReply(200, health(tokenSeen())) },
    { method: 'GET', template: '/metrics', answer: async () => textReply(await metrics.text(), metrics.contentType) },
  ];
}

function health(tokenSeen: boolean): object {
  return {
    name: 'Keyturn dev Connect server',
    version: connectVersion,
    dependencies: [
      { service: 'sync', status: tokenSeen ? 'ACTIVE' : 'TOKEN_NEEDED' },
      { service: 'store', status: 'ACTIVE', message: 'Kept in memory' },
    ],
  };
}
