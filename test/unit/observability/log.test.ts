import { describe, expect, it } from 'vitest';
import { Failure } from '../../../src/api/reasons.ts';
import { SecretValue } from '../../../src/domain/secret-value.ts';
import { createLog, type Log, type LogOptions } from '../../../src/observability/log.ts';
import { textLine } from '../../../src/observability/text-line.ts';

const canary = 'canary-3391';

/** What a log writes. */
function written(
  write: (log: Log) => void,
  format: LogOptions['format'] & string,
  level: Parameters<typeof createLog>[0] = 'info',
): string {
  let output = '';
  write(createLog(level, { format, destination: { write: (line) => void (output += line) } }));
  return output;
}

describe.each(['json', 'text'] as const)('a log in %s', (format) => {
  it('has a line for each thing that is as grave as its level', () => {
    const counts = (['debug', 'info', 'warn', 'error'] as const).map((level) => {
      const output = written(
        (log) => {
          for (const grave of ['debug', 'info', 'warn', 'error', 'fatal'] as const) log[grave]('x');
        },
        format,
        level,
      );
      return output.trimEnd().split('\n').length;
    });
    expect(counts).toEqual([5, 4, 3, 2]);
  });

  it('shows no value, however it is given', () => {
    const value = SecretValue.fromText(canary);
    const output = written((log) => {
      log.info({ value, nested: { value }, list: [value] }, `with ${String(value)}`);
      log.info('in the message: %s %o %j', value, value, value);
    }, format);
    expect(output).toContain('[secret]');
    for (const shape of [canary, value.exposeBase64()]) expect(output).not.toContain(shape);
  });

  it('shows nothing of an error of others but its type', () => {
    const error = Object.assign(new TypeError(canary, { cause: new Error(canary) }), { body: canary, headers: { [canary]: canary } });
    const output = written((log) => {
      log.error(error);
      log.error(error, 'with a message');
      log.error({ err: error }, 'as err');
      log.error({ error, key: 'ns/name' }, 'among others');
    }, format);
    expect(output).not.toContain(canary);
    expect(output.match(/TypeError/g)).toHaveLength(4);
  });

  it('shows the message of an error of ours', () => {
    expect(written((log) => log.error(new Failure('ItemNotFound', 'the item is not there')), format)).toContain('the item is not there');
  });
});

describe('a line of text', () => {
  it('has the time, the level, the message, and the fields', () => {
    const line = written(
      (log) => log.warn({ namespace: 'shop', count: 3, ready: false, keys: ['a', 'b'], why: 'not found' }, 'Secret changed'),
      'text',
    );
    expect(line).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARN {2}Secret changed namespace=shop count=3 ready=false keys=\["a","b"\] why="not found"\n$/,
    );
  });

  it('has no gap where there is no message', () => {
    expect(textLine('{"level":"info","time":"T","a":1}')).toBe('T INFO  a=1\n');
  });

  it('is one line that moves no cursor, whatever is in it', () => {
    const evil = 'a\nERROR forged\r\u001b[2J\u009b\u202e\u2028"\\';
    const line = textLine(JSON.stringify({ level: 'info', time: 'T', msg: evil, [evil]: evil, plain: '' }));
    expect(line).toMatch(/^[ -~]*\n$/);
  });
});
