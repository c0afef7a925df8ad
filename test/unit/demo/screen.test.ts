import { describe, expect, it } from 'vitest';
import { createScreen } from '../../../dev/demo/screen.ts';

const escape = '\u001b';

function record(terminal: { isTTY?: boolean; columns?: number; rows?: number } = {}) {
  const written: string[] = [];
  return { ...terminal, written, write: (text: string) => written.push(text) };
}

describe('a screen', () => {
  it('takes lines that change only on a terminal', () => {
    const pipe = record();
    const screen = createScreen(pipe, {});
    screen.live(['now']);
    screen.print('for good');
    expect(pipe.written).toEqual(['for good\n']);
  });

  it('erases what changed before it draws it anew', () => {
    const terminal = record({ isTTY: true });
    const screen = createScreen(terminal, {});
    screen.live(['one', 'two']);
    screen.live(['three']);
    expect(terminal.written).toEqual(['one\ntwo\n', `${escape}[2A${escape}[0Jthree\n`]);
  });

  it('draws nothing when nothing changed', () => {
    const terminal = record({ isTTY: true });
    const screen = createScreen(terminal, {});
    screen.live(['same']);
    screen.live(['same']);
    expect(terminal.written).toHaveLength(1);
  });

  it('adds lines above those that change', () => {
    const terminal = record({ isTTY: true });
    const screen = createScreen(terminal, {});
    screen.live(['now']);
    screen.print('for good');
    expect(terminal.written[1]).toBe(`${escape}[1A${escape}[0Jfor good\nnow\n`);
  });

  it('cuts what the terminal has no room for, without the codes of colours', () => {
    const terminal = record({ isTTY: true, columns: 5, rows: 3 });
    const screen = createScreen(terminal, {});
    screen.live([screen.paint('red', 'abcdefg'), 'b', 'c', 'd']);
    expect(terminal.written).toEqual([`${escape}[31mabcd${escape}[39m\nb\n`]);
  });

  it('has colours on a terminal alone, and not against NO_COLOR', () => {
    expect(createScreen(record({ isTTY: true }), {}).paint('green', 'ok')).toBe(`${escape}[32mok${escape}[39m`);
    expect(createScreen(record({ isTTY: true }), { NO_COLOR: '1' }).paint('green', 'ok')).toBe('ok');
    expect(createScreen(record(), {}).paint('green', 'ok')).toBe('ok');
  });
});
