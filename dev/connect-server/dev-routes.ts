import type { IncomingMessage } from 'node:http';
import { readBody } from './body.ts';
import { type Faults, faultOrderSchema, type OrderedFault } from './faults.ts';
import { HttpError } from './http-error.ts';
import { jsonReply, type Reply } from './reply.ts';
import type { Params, Route } from './router.ts';

/** An operation that Connect does not have: faults to order by hand. No token is needed. */
export interface DevRoute extends Route {
  readonly handle: (request: IncomingMessage, params: Params) => Reply | Promise<Reply>;
}

const noContent: Reply = { status: 204, headers: {}, body: '' };

/** `GET`, `POST` and `DELETE /dev/faults`, and `DELETE /dev/faults/{fault}`. */
export function devRoutes(faults: Faults): readonly DevRoute[] {
  return [
    { method: 'GET', template: '/dev/faults', handle: () => jsonReply(200, faults.list().map(describeFault)) },
    {
      method: 'POST',
      template: '/dev/faults',
      handle: async (request) => jsonReply(201, describeFault(faults.order(await readBody(request, faultOrderSchema)))),
    },
    {
      method: 'DELETE',
      template: '/dev/faults',
      handle: () => {
        faults.clear();
        return noContent;
      },
    },
    { method: 'DELETE', template: '/dev/faults/{fault}', handle: (_, params) => clearFault(faults, params['fault']) },
  ];
}

function clearFault(faults: Faults, id: string | undefined): Reply {
  const fault = faults.list().find((candidate) => candidate.id === id);
  if (fault === undefined) throw new HttpError(404, `fault ${id} not found`);
  fault.clear();
  return noContent;
}

function describeFault({ id, hits, order }: OrderedFault): object {
  return { id, hits, ...order };
}
