/** `npm run reasons` writes the table of docs/reference/reasons.md, whose other text is written by hand; with --check it only compares. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Reason, reasons } from '../../src/api/reasons.ts';
import { ROOT } from './command.ts';
import { tableOf, writePage } from './generated-page.ts';

/** Where a reason shows. */
export interface Appearance {
  /** The status of the condition `Ready` that carries it; undefined when none does. */
  readonly ready?: 'True' | 'False';
  /** The type of its event, and on what. */
  readonly event?: string;
  /** Series that carry it, or count what it tells of. */
  readonly metric?: string;
  /** Audit records whose `reason` it is, or that tell of the same. */
  readonly audit?: string;
}

const resources = '`keyturn_resources`';
const asking = 'who asks for the Secret';
const retrievals = '`item.retrieve`, `item.share`, `file.retrieve`';

const fails: Appearance = { ready: 'False', event: `Warning on ${asking}`, metric: resources };
const refuses: Appearance = { ...fails, audit: '`secret.refuse`' };
const ofConnect: Appearance = { ...fails, metric: `${resources}, \`keyturn_connect_gate_closed\``, audit: retrievals };

const result = (name: string): string => `\`keyturn_restarts_total{result="${name}"}\``;
const waits = (...names: readonly string[]): string =>
  `\`keyturn_restarts_waiting{reason="${names.join('|')}"}\``.replace('="', names.length > 1 ? '=~"' : '="');

/** Every reason, by its type. */
export const appearances: Readonly<Record<Reason, Appearance>> = {
  Synced: { ready: 'True', event: `Normal on ${asking}`, metric: resources },
  ItemFrozen: { ready: 'True', event: 'Normal on the resource', metric: resources },
  InvalidItemPath: fails,
  VaultNotAllowed: { ...fails, audit: '`policy.refuse`' },
  VaultNotFound: fails,
  ItemNotFound: { ...fails, audit: retrievals },
  ItemEmpty: refuses,
  ConnectUnauthorized: ofConnect,
  ConnectForbidden: ofConnect,
  ConnectUnavailable: ofConnect,
  ConnectProtocolError: ofConnect,
  SecretNotOwned: refuses,
  SecretTypeImmutable: refuses,
  SecretTypeNotAllowed: refuses,
  SecretTooLarge: { ...fails, audit: '`file.retrieve`, `secret.refuse`, `secret.create`, `secret.update`' },
  SecretImmutable: refuses,
  SecretInvalid: { ...fails, audit: '`secret.create`, `secret.update`' },
  AnotherOperatorActive: fails,
  CRDOutdated: {},
  KeyCollision: { event: `Warning on ${asking}` },
  DriftRepaired: { event: `Warning on ${asking}`, metric: '`keyturn_drift_repaired_total`', audit: '`secret.update`' },
  Restarted: { event: `Normal on the workload and on ${asking}`, metric: result('restarted'), audit: '`workload.restart`' },
  WouldRestart: { event: `Normal on the workload and on ${asking}`, metric: result('would_restart') },
  RestartQueued: { event: 'Normal on the workload', metric: waits('budget', 'paused', 'interval') },
  RestartSkipped: { event: 'Normal on the workload', metric: result('skipped') },
  RestartReverted: { event: `Warning on the workload and on ${asking}`, metric: waits('reverted') },
  RestartRefused: { event: `Warning on the workload and on ${asking}`, metric: `${waits('refused')}, ${result('refused')}` },
  RolloutsHeld: { event: `Warning on the workload and on ${asking}`, metric: waits('held') },
  DeletePodsToUpdate: { event: `Warning on the workload and on ${asking}`, metric: result('on_delete') },
  KeyMissing: { event: 'Warning on the workload', metric: waits('key_missing') },
  InvalidAnnotation: { event: 'Warning on the workload' },
  OlderVersionAccepted: { event: `Warning on ${asking}` },
  KubernetesForbidden: { ...fails, audit: '`secret.create`, `secret.update`, `secret.refuse`' },
  AuditUnavailable: { ...fails, metric: `${resources}, \`keyturn_audit_records_lost_total\`` },
};

const page = 'docs/reference/reasons.md';
const begin = '<!-- Generated from here by `npm run reasons`. -->';
const end = '<!-- Generated up to here. -->';

/** The page with its table made anew. */
function withTable(text: string): string {
  const [before, rest] = text.split(begin);
  const [, after] = rest?.split(end) ?? [];
  if (before === undefined || after === undefined) throw new Error(`${page} has no place for the table: "${begin}" to "${end}"`);
  const rows = reasons.map((reason) => {
    const { ready = '', event = '', metric = '', audit = '' } = appearances[reason];
    return [`[\`${reason}\`](#${reason.toLowerCase()})`, ready, event, metric, audit];
  });
  return `${before}${begin}\n\n${tableOf(['reason', '`Ready`', 'event', 'metric', 'audit record'], rows)}\n\n${end}${after}`;
}

if (import.meta.main) {
  const content = withTable(readFileSync(resolve(ROOT, page), 'utf8'));
  await writePage({ page, content, source: 'dev/tools/reasons-table.ts', script: 'reasons' });
}
