import { createHmac } from 'node:crypto';

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

interface Otp {
  readonly secret: Buffer;
  readonly algorithm: string;
  readonly digits: number;
  /** Seconds. */
  readonly period: number;
}

/**
 * The one-time code (RFC 6238) at a time in milliseconds, for a bare base32 secret or an otpauth URI;
 * undefined when the value is neither.
 */
export function oneTimeCode(value: string, now: number): string | undefined {
  const otp = parse(value);
  if (otp === undefined) return undefined;
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(now / 1000 / otp.period)));
  const digest = createHmac(otp.algorithm, otp.secret).update(counter).digest();
  const offset = digest.readUInt8(digest.length - 1) & 15;
  const code = (digest.readUInt32BE(offset) & 0x7fff_ffff) % 10 ** otp.digits;
  return String(code).padStart(otp.digits, '0');
}

function parse(value: string): Otp | undefined {
  const parameters =
    value.startsWith('otpauth://') && URL.canParse(value) ? new URL(value).searchParams : new URLSearchParams({ secret: value });
  const secret = decodeBase32(parameters.get('secret') ?? '');
  const algorithm = (parameters.get('algorithm') ?? 'SHA1').toLowerCase();
  const digits = Number(parameters.get('digits') ?? 6);
  const period = Number(parameters.get('period') ?? 30);
  const known = ['sha1', 'sha256', 'sha512'].includes(algorithm) && [6, 7, 8].includes(digits) && period >= 1;
  return secret !== undefined && known ? { secret, algorithm, digits, period } : undefined;
}

function decodeBase32(text: string): Buffer | undefined {
  const symbols = text.replaceAll(/[\s=-]/g, '').toUpperCase();
  if (!/^[A-Z2-7]+$/.test(symbols)) return undefined;
  const bits = Array.from(symbols, (symbol) => base32.indexOf(symbol).toString(2).padStart(5, '0')).join('');
  return Buffer.from(
    Array.from({ length: Math.floor(bits.length / 8) }, (_, index) => Number.parseInt(bits.slice(index * 8, index * 8 + 8), 2)),
  );
}
