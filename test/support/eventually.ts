/**
 * Tries `attempt` until it gives a value or `deadline` milliseconds have passed; undefined and exceptions mean not yet.
 * @throws Error with `what` and the last exception
 */
export async function eventually<T>(what: string, attempt: () => Promise<T | undefined> | T | undefined, deadline = 20_000): Promise<T> {
  const end = performance.now() + deadline;
  let last: unknown;
  while (performance.now() < end) {
    try {
      const value = await attempt();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`not within ${deadline} ms: ${what}`, { cause: last });
}
