/**
 * Every reason a condition, an event or a metric can carry: meaning and cure stand in docs/reference/reasons.md.
 * They are stable: dashboards and scripts depend on them.
 */
export const reasons = [
  'Synced',
  'ItemFrozen',
  'InvalidItemPath',
  'VaultNotAllowed',
  'VaultNotFound',
  'ItemNotFound',
  'ItemEmpty',
  'ConnectUnauthorized',
  'ConnectForbidden',
  'ConnectUnavailable',
  'ConnectProtocolError',
  'SecretNotOwned',
  'SecretTypeImmutable',
  'SecretTypeNotAllowed',
  'SecretTooLarge',
  'SecretImmutable',
  'SecretInvalid',
  'AnotherOperatorActive',
  'CRDOutdated',
  'KeyCollision',
  'DriftRepaired',
  'Restarted',
  'WouldRestart',
  'RestartQueued',
  'RestartSkipped',
  'RestartReverted',
  'RestartRefused',
  'RolloutsHeld',
  'DeletePodsToUpdate',
  'KeyMissing',
  'InvalidAnnotation',
  'OlderVersionAccepted',
  'KubernetesForbidden',
  'AuditUnavailable',
] as const;

export type Reason = (typeof reasons)[number];

/** Those that concern Connect and not an item: they say nothing of what a Secret holds. */
export const connectReasons = [
  'ConnectUnauthorized',
  'ConnectForbidden',
  'ConnectUnavailable',
  'ConnectProtocolError',
] as const satisfies readonly Reason[];

export function isConnectReason(reason: Reason): boolean {
  return (connectReasons as readonly Reason[]).includes(reason);
}

/**
 * A failure with a name. The message is written by us, says what to do next, and is safe to show: it never quotes what a
 * server, a parser or a library said.
 */
export class Failure extends Error {
  readonly reason: Reason;
  /** Milliseconds the server asked us to wait before the next attempt, if it did. */
  readonly retryAfter: number | undefined;

  constructor(reason: Reason, message: string, retryAfter?: number) {
    super(message);
    this.name = 'Failure';
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}
