/**
 * A value that cannot be printed: JSON, templates, logs and the inspector show `[secret]`. It holds canonical base64, the form in
 * which the API server takes and gives it, so comparing needs no decoding and nothing is kept twice.
 */
export class SecretValue {
  readonly #base64: string;

  private constructor(base64: string) {
    this.#base64 = base64;
  }

  static fromText(text: string): SecretValue {
    return SecretValue.fromBytes(new TextEncoder().encode(text));
  }

  /** The bytes are viewed in place: Node's shared buffer pool never sees them. */
  static fromBytes(bytes: Uint8Array): SecretValue {
    return new SecretValue(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'));
  }

  /** A value of a Secret's `data`, as the API server gives it. */
  static fromBase64(base64: string): SecretValue {
    return new SecretValue(base64);
  }

  /** The value in base64, for the body of a write to the API server and for nothing else. */
  exposeBase64(): string {
    return this.#base64;
  }

  equals(other: SecretValue): boolean {
    return this.#base64 === other.#base64;
  }

  get isEmpty(): boolean {
    return this.#base64 === '';
  }

  /** Size of the decoded value in bytes. */
  get byteLength(): number {
    const padding = this.#base64.endsWith('==') ? 2 : this.#base64.endsWith('=') ? 1 : 0;
    return (this.#base64.length / 4) * 3 - padding;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

/** What a Secret holds: key → value. */
export type SecretData = ReadonlyMap<string, SecretValue>;
