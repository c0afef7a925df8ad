import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import type { KeyPair } from './http.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** The files of a certificate cannot be used; the message names the flag and quotes no content. */
export class CertificateError extends Error {
  constructor(problem: string) {
    super(`${problem}: check the files of --metrics-cert-path, or leave the flag out for a certificate made at each start`);
    this.name = 'CertificateError';
  }
}

export interface CertificateWatch {
  readonly files: CertificateFiles;
  readonly clock: Clock;
  /** What the files hold now; it was another pair before. */
  readonly onChange: (pair: KeyPair) => void;
  /** They hold nothing that can be used; said once until that changes. */
  readonly onFailure: (error: CertificateError) => void;
}

/** How often the files are read, in milliseconds: whoever renews certificates does so days before they end. */
const interval = 10_000;

/** @throws CertificateError when the files cannot be read or do not fit each other */
export function readCertificate({ certFile, keyFile }: CertificateFiles): KeyPair {
  const pair = { cert: read(certFile), key: read(keyFile) };
  try {
    createSecureContext(pair);
  } catch {
    throw new CertificateError('the certificate for metrics cannot be used, or its key is that of another');
  }
  return pair;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new CertificateError('the certificate for metrics, or its key, cannot be read');
  }
}

/** Reads the files again and again, from `known` on; the returned function ends that. Two files change one after the other: what does not fit is left alone. */
export function watchCertificate({ files, clock, onChange, onFailure }: CertificateWatch, known: KeyPair): () => void {
  let current = known;
  let failing = false;
  let cancel = clock.after(interval, look);

  function look(): void {
    cancel = clock.after(interval, look);
    try {
      const pair = readCertificate(files);
      failing = false;
      if (pair.cert === current.cert && pair.key === current.key) return;
      current = pair;
      onChange(pair);
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      if (!failing) onFailure(error);
      failing = true;
    }
  }

  return () => cancel();
}
