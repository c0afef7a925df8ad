import { styleText } from 'node:util';

/** What a screen needs of a stream: all of it that `process.stdout` has. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** A text in a style, or as it is where styles are unwelcome. */
export type Paint = (style: 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan', text: string) => string;

/** Lines that stay, and below them a few that change. */
export interface Screen {
  /** Whether somebody can see lines change. */
  readonly interactive: boolean;
  readonly paint: Paint;
  /** Adds lines for good. */
  print(...lines: readonly string[]): void;
  /** Replaces the lines that change; elsewhere than on a terminal there are none. */
  live(lines: readonly string[]): void;
}

const escape = '\u001b';
const colourCode = new RegExp(String.raw`(${escape}\[[\d;]*m)`);

/** Draws on `terminal`; colours only where it is a terminal and `NO_COLOR` is not set. */
export function createScreen(terminal: Terminal, environment: Readonly<Record<string, string | undefined>>): Screen {
  const interactive = terminal.isTTY === true;
  const coloured = interactive && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  let drawn = 0;
  let shown = '';

  const erase = (): string => (drawn === 0 ? '' : `${escape}[${drawn}A${escape}[0J`);

  return {
    interactive,
    paint: (style, words) => (coloured ? styleText(style, words, { validateStream: false }) : words),
    print(...lines) {
      terminal.write(`${erase()}${text(lines)}${shown}`);
    },
    live(lines) {
      if (!interactive) return;
      // What does not fit could not be erased again.
      const fitting = lines.slice(0, (terminal.rows ?? 24) - 1).map((line) => cut(line, (terminal.columns ?? 80) - 1));
      const next = text(fitting);
      if (next === shown) return;
      terminal.write(erase() + next);
      drawn = fitting.length;
      shown = next;
    },
  };
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** The first `width` characters; the codes of colours take no room and are all kept. */
function cut(line: string, width: number): string {
  let room = width;
  return line
    .split(colourCode)
    .map((part, index) => {
      if (index % 2 === 1) return part;
      const visible = Array.from(part).slice(0, room);
      room -= visible.length;
      return visible.join('');
    })
    .join('');
}
