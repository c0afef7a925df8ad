/** What `promise` fails with. @throws Error when it does not, or with something else than a `type` */
export async function failureOf<T extends Error>(promise: Promise<unknown>, type: new (...parameters: never[]) => T): Promise<T> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof type)) throw new Error(`it did not fail with a ${type.name}`, { cause: error });
  return error;
}
