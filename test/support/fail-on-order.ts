import { Server } from 'node:net';

/** Preloaded into the process under test (`--import`): has something go wrong in it, in the way that its standard input asks for. */
const ways: Readonly<Record<string, () => void>> = {
  'reject unhandled': () => void Promise.reject(new TypeError('canary-71c2ee')),
  'throw uncaught': () => {
    throw Object.assign(new RangeError('canary-71c2ee'), { body: 'canary-71c2ee' });
  },
  'hang at the end': () => {
    Server.prototype.close = function () {
      return this;
    };
    process.stdout.write('hangs at the end\n');
  },
};

process.stdin.setEncoding('utf8').on('data', (order: string) => setImmediate(() => ways[order.trim()]?.()));
process.stdin.unref?.();
