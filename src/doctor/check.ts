import { Failure } from '../api/reasons.ts';
import { fail, type Finding, warn } from '../domain/finding.ts';
import { KubeError } from '../kube/client.ts';
import type { Clock } from '../runtime/clock.ts';
import { DeadlineExceeded, withDeadline } from '../runtime/deadline.ts';
import { createSemaphore } from '../runtime/semaphore.ts';

/** One thing to look at. */
export interface Check {
  readonly name: string;
  /** An earlier check without whose success this one makes no sense. */
  readonly needs?: string;
  /** An earlier check that has to have ended, however it did. */
  readonly after?: string;
  readonly run: (signal: AbortSignal) => Promise<readonly Finding[]>;
}

export interface RunChecksOptions {
  readonly clock: Clock;
  /** Milliseconds that each check may take. */
  readonly limit: number;
  /** In the order of the checks, each as soon as it is known. */
  readonly onFinding: (finding: Finding) => void;
}

/** Checks under way at a time. */
const parallel = 8;

/** What came of a check, and whether those that need it can go on. */
interface Outcome {
  readonly findings: readonly Finding[];
  readonly isMet: boolean;
}

/** Runs checks side by side. What fails, in whatever way, is a finding, and stops only what needs it. */
export async function runChecks(checks: readonly Check[], options: RunChecksOptions): Promise<readonly Finding[]> {
  const bounded = createSemaphore(parallel);
  const outcomes = new Map<string, Promise<Outcome>>();
  const outcomeOf = (name: string | undefined): Promise<Outcome> | undefined => (name === undefined ? undefined : outcomes.get(name));
  for (const check of checks) outcomes.set(check.name, runAfter(check, outcomeOf(check.needs), outcomeOf(check.after)));
  const all: Finding[] = [];
  for (const outcome of outcomes.values()) {
    const { findings } = await outcome;
    findings.forEach(options.onFinding);
    all.push(...findings);
  }
  return all;

  async function runAfter(check: Check, needed: Promise<Outcome> | undefined, before: Promise<Outcome> | undefined): Promise<Outcome> {
    await before;
    // That is no failure of its own.
    if ((await needed)?.isMet === false)
      return { findings: [warn(check.name, 'not looked at', `mend what is said of ${check.needs} first`)], isMet: false };
    const findings = await bounded(() => runCheck(check, options));
    return { findings, isMet: findings.every(({ status }) => status !== 'fail') };
  }
}

async function runCheck({ name, run }: Check, { clock, limit }: RunChecksOptions): Promise<readonly Finding[]> {
  try {
    return await withDeadline(clock, limit, undefined, run);
  } catch (error) {
    return [failureOf(name, error, limit)];
  }
}

/** What is said of an error never quotes what came over the wire. */
function failureOf(name: string, error: unknown, limit: number): Finding {
  if (error instanceof Failure) {
    const [problem = '', ...cure] = error.message.split('; ');
    return fail(name, problem, cure.join('; ') || `see the reason ${error.reason} in docs/reference/reasons.md`);
  }
  if (error instanceof KubeError) return fail(name, error.message, kubeCure(error));
  if (error instanceof DeadlineExceeded)
    return fail(name, `no answer within ${limit / 1000} s`, 'check the network and its policies, and try again');
  return fail(name, `ended by an error (${error instanceof Error ? error.name : 'of unknown kind'})`, 'report it as a defect of Keyturn');
}

function kubeCure({ status, reason }: KubeError): string {
  if (status === 401) return 'the API server does not know these credentials: renew them, or choose others with KUBECONFIG';
  if (status === 403) return 'grant that to whom the operator runs as';
  if (status !== 0) return 'try again, and see the logs of the API server if it stays so';
  if (reason === 'RequestFailed') return 'check the kubeconfig: its server, its user, and the program that it names for credentials';
  return /CERT|SIGNED|SIGNATURE/.test(reason)
    ? "check the certificate of the API server, and the kubeconfig's certificate-authority"
    : 'check KUBECONFIG, the network and its policies';
}
