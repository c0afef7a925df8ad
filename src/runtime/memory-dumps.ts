/** Options of Node's that write the memory to disk, and that nothing takes back once the process runs. */
const heapSnapshots = /--heapsnapshot[-_](?:signal|near[-_]heap[-_]limit)/g;

/**
 * Sees to it that nobody has Node write memory or environment to disk: diagnostic reports are switched off.
 * @param options as Node was given them, on its command line or by NODE_OPTIONS
 * @returns a problem for each option that cannot be switched off
 */
export function forbidMemoryDumps(options: readonly string[]): readonly string[] {
  process.report.reportOnFatalError = false;
  process.report.reportOnSignal = false;
  process.report.reportOnUncaughtException = false;
  process.report.excludeEnv = true;
  const found = new Set(options.flatMap((text) => [...text.matchAll(heapSnapshots)].map(([option]) => option.replaceAll('_', '-'))));
  return [...found].map((option) => `${option} would write every value in memory to disk: take it out of NODE_OPTIONS and of the command`);
}
