/** Somebody asked the demo to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
  }
}
