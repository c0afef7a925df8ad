/** Where progress goes: one line rewritten in place, or now and then a line of its own. */
export type ProgressSink =
  | { readonly kind: 'terminal'; readonly stream: { write(text: string): unknown } }
  | { readonly kind: 'lines'; readonly log: (line: string) => void; readonly everyMs?: number };

/** Counted progress of one long task. */
export interface Progress {
  /** `done` of `total`; a total of 0 means that only the time is known. */
  update(done: number, total: number): void;
  /** Stops reporting; leaves the last state on the screen. */
  end(): void;
}

const REDRAW_MS = 500;
const LINE_MS = 10_000;

/** The sink that suits a stream: rewriting in place only where somebody sees it. */
export function sinkFor(stream: NodeJS.WriteStream, log: (line: string) => void): ProgressSink {
  return stream.isTTY ? { kind: 'terminal', stream } : { kind: 'lines', log };
}

/** Starts reporting. The elapsed time moves on even while nothing is counted. */
export function startProgress(label: string, sink: ProgressSink): Progress {
  const began = performance.now();
  let done = 0;
  let total = 0;
  const text = (): string => progressLine(label, done, total, performance.now() - began);
  const show = (): void => {
    if (sink.kind === 'terminal') sink.stream.write(`\r\u001b[2K${text()}`);
    else sink.log(text());
  };
  const timer = setInterval(show, sink.kind === 'terminal' ? REDRAW_MS : (sink.everyMs ?? LINE_MS));
  return {
    update: (newDone, newTotal) => {
      done = newDone;
      total = newTotal;
    },
    end: () => {
      clearInterval(timer);
      show();
      if (sink.kind === 'terminal') sink.stream.write('\n');
    },
  };
}

/** `compiling: 120/2780 (4%), 0:12` */
export function progressLine(label: string, done: number, total: number, elapsedMs: number): string {
  const seconds = Math.floor(elapsedMs / 1000);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  if (total === 0) return `${label}: ${clock}`;
  const shown = Math.min(done, total);
  return `${label}: ${shown}/${total} (${Math.floor((100 * shown) / total)}%), ${clock}`;
}
