import { Interrupted } from './interrupted.ts';
import type { Screen } from './screen.ts';

/** What a step can show beneath its title while it runs; what it showed last stays. */
export interface Stage {
  show(...lines: readonly string[]): void;
}

/** How a step ended. */
export interface StepResult {
  readonly title: string;
  readonly outcome: 'passed' | 'failed' | 'interrupted';
  readonly ms: number;
}

/** Runs steps, counts and times them. */
export interface Steps {
  /** @throws what `work` throws */
  run<T>(title: string, work: (stage: Stage) => Promise<T>): Promise<T>;
  results(): readonly StepResult[];
}

const marks = { passed: '✓', failed: '✗', interrupted: '–' } as const;
const colours = { passed: 'green', failed: 'red', interrupted: 'yellow' } as const;
const titleWidth = 36;
const redrawMs = 100;

export function createSteps(screen: Screen, total: number): Steps {
  const results: StepResult[] = [];
  return {
    results: () => results,
    async run(title, work) {
      const began = performance.now();
      const number = `[${String(results.length + 1).padStart(String(total).length)}/${total}]`;
      let details: readonly string[] = [];
      const lines = (mark: string, ms: number): string[] => [
        `${number} ${mark} ${screen.paint('bold', title.padEnd(titleWidth))} ${screen.paint('dim', seconds(ms).padStart(7))}`,
        ...details.map((line) => (line === '' ? '' : `${' '.repeat(number.length + 3)}${line}`)),
      ];
      const draw = (): void => screen.live(lines(' ', performance.now() - began));
      const finish = (outcome: StepResult['outcome']): void => {
        const ms = performance.now() - began;
        results.push({ title, outcome, ms });
        screen.live([]);
        screen.print(...lines(screen.paint(colours[outcome], marks[outcome]), ms));
      };

      draw();
      const timer = setInterval(draw, redrawMs);
      try {
        const value = await work({
          show: (...next) => {
            details = next;
            draw();
          },
        });
        finish('passed');
        return value;
      } catch (error) {
        finish(error instanceof Interrupted ? 'interrupted' : 'failed');
        throw error;
      } finally {
        clearInterval(timer);
      }
    },
  };
}

/** One line for each step, and one for all of them. */
export function summary(results: readonly StepResult[], total: number): readonly string[] {
  const passed = results.filter(({ outcome }) => outcome === 'passed').length;
  const ms = results.reduce((sum, result) => sum + result.ms, 0);
  return [
    ...results.map(
      ({ title, outcome, ms: own }, index) =>
        `${String(index + 1).padStart(4)} ${title.padEnd(titleWidth)} ${outcome.padEnd(11)} ${seconds(own).padStart(7)}`,
    ),
    `${passed} of ${total} steps passed in ${seconds(ms)}`,
  ];
}

/** `4.6 s` */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
