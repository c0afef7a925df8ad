import { type Finding, ok, warn } from '../domain/finding.ts';

/** More than that is no delay on the way, in milliseconds. */
const tolerance = 5_000;

/** Compares a clock with ours. @param ahead how far it is ahead, in milliseconds, told in whole seconds; undefined when it does not tell */
export function clockFinding(name: string, ahead: number | undefined): Finding {
  if (ahead === undefined) return warn(name, 'its answers have no Date to compare with', 'see what stands between it and the operator');
  if (Math.abs(ahead) <= tolerance) return ok(name, 'agrees with ours to a few seconds');
  const seconds = Math.round(Math.abs(ahead) / 1000);
  return warn(
    name,
    `${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} ours`,
    'set both by NTP: tokens may be refused before their time, and the times of logs and audit records do not compare',
  );
}
