import { ConfigError } from '../../src/config.ts';

/** What is wrong with a configuration that `run` reads; none when it is read. @throws Error when the message holds `canary` */
export function problemsOf(run: () => unknown, canary: string): readonly string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError && !error.message.includes(canary)) return error.problems;
    throw error;
  }
  return [];
}
