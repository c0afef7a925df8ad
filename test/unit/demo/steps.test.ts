import { describe, expect, it } from 'vitest';
import { Interrupted } from '../../../dev/demo/interrupted.ts';
import { createScreen } from '../../../dev/demo/screen.ts';
import { createSteps, summary } from '../../../dev/demo/steps.ts';

function start(total: number) {
  let written = '';
  const screen = createScreen({ write: (text: string) => (written += text) }, {});
  return { steps: createSteps(screen, total), written: () => written };
}

describe('steps', () => {
  it('are counted, and keep what they showed last', async () => {
    const { steps, written } = start(2);
    const value = await steps.run('First', async (stage) => {
      stage.show('soon');
      stage.show('seen', 'twice');
      return 7;
    });
    expect(value).toBe(7);
    expect(written()).toMatch(/^\[1\/2\] ✓ First +\d+\.\d s\n {8}seen\n {8}twice\n$/);
  });

  it('tell a failure from an interrupt, and pass both on', async () => {
    const { steps } = start(2);
    await expect(steps.run('Fails', () => Promise.reject(new Error('why')))).rejects.toThrow('why');
    await expect(steps.run('Ends', () => Promise.reject(new Interrupted('SIGINT')))).rejects.toThrow('ended by SIGINT');
    expect(steps.results().map(({ outcome }) => outcome)).toEqual(['failed', 'interrupted']);
  });

  it('sum up to one line each and one for all', () => {
    const lines = summary(
      [
        { title: 'First', outcome: 'passed', ms: 1_240 },
        { title: 'Second', outcome: 'failed', ms: 300 },
      ],
      3,
    );
    expect(lines.map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
      ' 1 First passed 1.2 s',
      ' 2 Second failed 0.3 s',
      '1 of 3 steps passed in 1.5 s',
    ]);
  });
});
