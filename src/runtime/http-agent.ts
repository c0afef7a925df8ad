import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Agent, buildConnector, Pool } from 'undici';

export type AgentOptions = Omit<Agent.Options, 'connect' | 'factory'> & {
  readonly connect: buildConnector.BuildOptions;
  /** Told with every new connection when the certificate of the other side expires, in milliseconds since the epoch. */
  readonly onCertificate?: ((expiry: number) => void) | undefined;
};

/**
 * An agent of undici that leaves no bytes of an answer behind. Its parser is WebAssembly: every piece of an answer is copied into the
 * parser's memory, which lives as long as the process and is overwritten only as far as later pieces reach. Here each is wiped once it is parsed.
 */
export function createAgent({ connect, onCertificate, ...others }: AgentOptions): Agent {
  const connector = telling(buildConnector(connect), onCertificate);
  return new Agent({ ...others, connect: connector, factory: createWipingPool });
}

/** A connector that tells when the certificates expire that it meets. */
export function telling(connect: buildConnector.connector, onCertificate: AgentOptions['onCertificate']): buildConnector.connector {
  if (onCertificate === undefined) return connect;
  return (target, done) =>
    connect(target, (...result) => {
      const expiry = result[1] instanceof TLSSocket ? Date.parse(result[1].getPeerCertificate().valid_to) : Number.NaN;
      if (!Number.isNaN(expiry)) onCertificate(expiry);
      done(...result);
    });
}

/** The connections to one origin, whose parsers are wiped. `connect` has to be a connector. */
export function createWipingPool(origin: string | URL, options: Pool.Options): Pool {
  const { connect } = options;
  if (typeof connect !== 'function') throw new TypeError('connect has to be a connector');
  const fresh = new Set<Socket>();
  const pool = new Pool(origin, {
    ...options,
    connect(target, done) {
      connect(target, (...result) => {
        // A failure comes without a socket: null by its type, and undefined in fact.
        if (result[1]) fresh.add(result[1]);
        done(...result);
      });
    },
  });
  // A connection has its parser by then, and no answer yet.
  return pool.on('connect', () => {
    for (const socket of fresh) if (wipeAfterParsing(socket) || socket.destroyed) fresh.delete(socket);
  });
}

interface Llhttp {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly llhttp_execute: (parser: number, address: number, length: number) => number;
}

interface Parser {
  llhttp?: Llhttp;
  execute: (chunk: Buffer) => void;
}

/** False when the connection has no parser that we know: nothing of this is undici's public interface. */
function wipeAfterParsing(socket: Socket): boolean {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'parser');
  const parser = symbol && (socket as unknown as Readonly<Record<symbol, Parser | null>>)[symbol];
  const llhttp = parser?.llhttp;
  if (parser == null || llhttp === undefined) return false;
  const execute = parser.execute.bind(parser);
  parser.execute = (chunk) => execute(takeOut(chunk, socket));
  parser.llhttp = {
    ...llhttp,
    llhttp_execute(pointer, address, length) {
      try {
        return llhttp.llhttp_execute(pointer, address, length);
      } finally {
        new Uint8Array(llhttp.memory.buffer, address, length).fill(0);
      }
    },
  };
  return true;
}

/**
 * What was read, in memory of its own. Node reads into a slab that a TLS connection keeps for many reads, and that is memory as somebody freed it:
 * what was read is wiped there, with all that follows, unless more was read that still waits.
 */
function takeOut(chunk: Buffer, { readableLength }: Socket): Buffer {
  const own = Buffer.alloc(chunk.length);
  own.set(chunk);
  new Uint8Array(chunk.buffer, chunk.byteOffset, readableLength === 0 ? undefined : chunk.length).fill(0);
  return own;
}
