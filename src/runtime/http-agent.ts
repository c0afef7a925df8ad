import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Agent, buildConnector } from 'undici';

export type AgentOptions = Omit<Agent.Options, 'connect'> & {
  readonly connect: buildConnector.BuildOptions;
  /** Told with every new connection when the certificate of the other side expires, in milliseconds since the epoch. */
  readonly onCertificate?: ((expiry: number) => void) | undefined;
};

/**
 * An agent of undici that leaves no bytes of an answer behind. Its parser is WebAssembly: every piece of an answer is copied into the
 * parser's memory, which lives as long as the process and is overwritten only as far as later pieces reach. Here each is wiped once it is parsed.
 */
export function createAgent({ connect: options, onCertificate, ...others }: AgentOptions): Agent {
  const connect = buildConnector(options);
  const fresh = new Set<Socket>();
  const agent = new Agent({
    ...others,
    connect(target, done) {
      connect(target, (...result) => {
        // A failure comes without a socket: null by its type, and undefined in fact.
        if (result[1]) fresh.add(result[1]);
        if (onCertificate !== undefined && result[1] instanceof TLSSocket) tellExpiry(result[1], onCertificate);
        done(...result);
      });
    },
  });
  // A connection has its parser by then, and no answer yet.
  return agent.on('connect', () => {
    for (const socket of fresh) if (wipeAfterParsing(socket) || socket.destroyed) fresh.delete(socket);
  });
}

/** An answer to a resumed session may come without a certificate. */
function tellExpiry(socket: TLSSocket, onCertificate: (expiry: number) => void): void {
  const expiry = Date.parse(socket.getPeerCertificate().valid_to);
  if (!Number.isNaN(expiry)) onCertificate(expiry);
}

interface Llhttp {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly llhttp_execute: (parser: number, address: number, length: number) => number;
}

/** False when the connection has no parser that we know: nothing of this is undici's public interface. */
function wipeAfterParsing(socket: object): boolean {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'parser');
  const parser = symbol && (socket as Readonly<Record<symbol, { llhttp?: Llhttp } | null>>)[symbol];
  const llhttp = parser?.llhttp;
  if (parser == null || llhttp === undefined) return false;
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
