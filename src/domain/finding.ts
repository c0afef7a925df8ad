import { printable } from './printable.ts';

/** What came of one check: all is well, or what is wrong and what to do about it. */
export interface Finding {
  /** `warn`: it works, and yet somebody ought to know; `fail`: it does not work. */
  readonly status: 'ok' | 'warn' | 'fail';
  /** What was looked at, in a word or two. */
  readonly name: string;
  /** For what is not well: `problem; cure`. */
  readonly text: string;
}

export function ok(name: string, detail: string): Finding {
  return { status: 'ok', name, text: detail };
}

export function warn(name: string, problem: string, cure: string): Finding {
  return { status: 'warn', name, text: `${problem}; ${cure}` };
}

export function fail(name: string, problem: string, cure: string): Finding {
  return { status: 'fail', name, text: `${problem}; ${cure}` };
}

const words = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' };

/** One line for people. */
export function formatFinding({ status, name, text }: Finding): string {
  return printable(`${words[status]} ${name}: ${text}`);
}

/** The last line: `12 ok, 1 warning, 2 failed`. */
export function summarize(findings: readonly Finding[]): string {
  const count = (status: Finding['status']): number => findings.filter((finding) => finding.status === status).length;
  const warnings = count('warn');
  return `${count('ok')} ok, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, ${count('fail')} failed`;
}
