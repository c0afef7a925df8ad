/** Everything that is wrong with the configuration, each problem with its cure. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map((p) => `  - ${p}\n`).join('')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
