/** One course of things, and which alert it is to fire, if any. */
export interface AlertCase {
  readonly alert: string;
  readonly what: string;
  /** Samples once a minute, in the notation of promtool. */
  readonly series: Readonly<Record<string, string>>;
  /** When it is looked, such as `10m`. */
  readonly at: string;
  /** The labels that the alert has then, beside its name and severity, for each time that it fires. */
  readonly fires: readonly Readonly<Record<string, string>>[];
}

const scrape = 'namespace="keyturn",job="keyturn"';
const place = { namespace: 'keyturn', job: 'keyturn' };
const [leader, standby] = [`${scrape},instance="a"`, `${scrape},instance="b"`];
const day = 86_400;

/** Every alert, when it fires and when it does not. */
export const alertCases: readonly AlertCase[] = [
  {
    alert: 'KeyturnConnectUnreachable',
    what: 'the leader gets no answer, one way or another, for more than five minutes',
    series: {
      [`keyturn_connect_gate_closed{reason="ConnectUnavailable",${leader}}`]: '1x4 0x20',
      [`keyturn_connect_gate_closed{reason="ConnectProtocolError",${leader}}`]: '0x4 1x20',
      [`keyturn_connect_gate_closed{reason="ConnectUnavailable",${standby}}`]: '0x30',
    },
    at: '6m',
    fires: [place],
  },
  {
    alert: 'KeyturnConnectUnreachable',
    what: 'Connect answers again after four minutes',
    series: { [`keyturn_connect_gate_closed{reason="ConnectUnavailable",${leader}}`]: '1x3 0x20' },
    at: '8m',
    fires: [],
  },
  {
    alert: 'KeyturnConnectUnreachable',
    what: 'the token is refused, which has an alert of its own',
    series: {
      [`keyturn_connect_gate_closed{reason="ConnectUnavailable",${leader}}`]: '0x30',
      [`keyturn_connect_gate_closed{reason="ConnectUnauthorized",${leader}}`]: '1x30',
    },
    at: '20m',
    fires: [],
  },
  {
    alert: 'KeyturnConnectTokenRefused',
    what: 'the token is refused',
    series: { [`keyturn_connect_gate_closed{reason="ConnectUnauthorized",${leader}}`]: '0x2 1x20' },
    at: '5m',
    fires: [place],
  },
  {
    alert: 'KeyturnConnectTokenRefused',
    what: 'Connect is away',
    series: {
      [`keyturn_connect_gate_closed{reason="ConnectUnauthorized",${leader}}`]: '0x20',
      [`keyturn_connect_gate_closed{reason="ConnectUnavailable",${leader}}`]: '1x20',
    },
    at: '5m',
    fires: [],
  },
  {
    alert: 'KeyturnResourcesNotReady',
    what: 'resources of two namespaces fail for the same reason for more than 15 minutes, others are well',
    series: {
      [`keyturn_resources{kind="OnePasswordItem",ready="False",reason="ItemNotFound",exported_namespace="a",${leader}}`]: '1x30',
      [`keyturn_resources{kind="OnePasswordItem",ready="False",reason="ItemNotFound",exported_namespace="b",${leader}}`]: '2x30',
      [`keyturn_resources{kind="OnePasswordItem",ready="True",reason="Synced",${leader}}`]: '90x30',
    },
    at: '16m',
    fires: [{ ...place, kind: 'OnePasswordItem', reason: 'ItemNotFound' }],
  },
  {
    alert: 'KeyturnResourcesNotReady',
    what: 'nobody has said anything of a resource for more than 15 minutes',
    series: {
      [`keyturn_resources{kind="OnePasswordItem",ready="Unknown",reason="Pending",${leader}}`]: '1x30',
      [`keyturn_resources{kind="OnePasswordItem",ready="True",reason="Synced",${leader}}`]: '90x30',
    },
    at: '16m',
    fires: [{ ...place, kind: 'OnePasswordItem', reason: 'Pending' }],
  },
  {
    alert: 'KeyturnResourcesNotReady',
    what: 'a resource fails for ten minutes',
    series: { [`keyturn_resources{kind="OnePasswordItem",ready="False",reason="ItemNotFound",${leader}}`]: '1x10 _x20' },
    at: '20m',
    fires: [],
  },
  {
    alert: 'KeyturnPollStale',
    what: 'the last good poll was long ago, and a standby has never polled',
    series: {
      [`keyturn_connect_last_poll_timestamp_seconds{${leader}}`]: '60x30',
      [`keyturn_connect_last_poll_timestamp_seconds{${standby}}`]: '0x30',
      [`keyturn_connect_poll_interval_seconds{${leader}}`]: '10x30',
    },
    at: '13m',
    fires: [place],
  },
  {
    alert: 'KeyturnPollStale',
    what: 'Connect is asked every ten minutes, as was asked for',
    series: {
      [`keyturn_connect_last_poll_timestamp_seconds{${leader}}`]: '0x9 600x9 1200x9',
      [`keyturn_connect_poll_interval_seconds{${leader}}`]: '600x30',
    },
    at: '28m',
    fires: [],
  },
  {
    alert: 'KeyturnRestartsStuck',
    what: 'admission refuses a restart for more than half an hour',
    series: { [`keyturn_restarts_waiting_oldest_seconds{reason="refused",${leader}}`]: '0+60x60' },
    at: '40m',
    fires: [{ ...place, reason: 'refused' }],
  },
  {
    alert: 'KeyturnRestartsStuck',
    what: 'a restart has waited for its turn for more than an hour',
    series: { [`keyturn_restarts_waiting_oldest_seconds{reason="budget",${leader}}`]: '0+60x80' },
    at: '70m',
    fires: [{ ...place, reason: 'budget' }],
  },
  {
    alert: 'KeyturnRestartsStuck',
    what: 'a paused workload waits, another for its interval, and many for their turn',
    series: {
      [`keyturn_restarts_waiting_oldest_seconds{reason="paused",${leader}}`]: '90000x60',
      [`keyturn_restarts_waiting_oldest_seconds{reason="interval",${leader}}`]: '90000x60',
      [`keyturn_restarts_waiting_oldest_seconds{reason="budget",${leader}}`]: '0+60x50',
    },
    at: '50m',
    fires: [],
  },
  {
    alert: 'KeyturnRolloutsHeld',
    what: 'rollouts of a version are held',
    series: { [`keyturn_restarts_waiting{reason="held",${leader}}`]: '0x5 4x20' },
    at: '8m',
    fires: [place],
  },
  {
    alert: 'KeyturnRolloutsHeld',
    what: 'workloads wait for their turn',
    series: {
      [`keyturn_restarts_waiting{reason="held",${leader}}`]: '0x20',
      [`keyturn_restarts_waiting{reason="budget",${leader}}`]: '40x20',
    },
    at: '8m',
    fires: [],
  },
  {
    alert: 'KeyturnNoLeader',
    what: 'of two replicas none is elected',
    series: {
      [`leader_election_master_status{name="c26807fd.onepassword.com",${leader}}`]: '1x3 0x20',
      [`leader_election_master_status{name="c26807fd.onepassword.com",${standby}}`]: '0x20',
    },
    at: '10m',
    fires: [{ ...place, name: 'c26807fd.onepassword.com' }],
  },
  {
    alert: 'KeyturnNoLeader',
    what: 'there is no replica',
    series: { 'leader_election_master_status{name="other"}': '1x20' },
    at: '10m',
    fires: [{ name: 'c26807fd.onepassword.com' }],
  },
  {
    alert: 'KeyturnNoLeader',
    what: 'the other replica takes over',
    series: {
      [`leader_election_master_status{name="c26807fd.onepassword.com",${leader}}`]: '1x3 0x20',
      [`leader_election_master_status{name="c26807fd.onepassword.com",${standby}}`]: '0x4 1x20',
    },
    at: '10m',
    fires: [],
  },
  {
    alert: 'KeyturnAuditFailing',
    what: 'records are lost',
    series: { [`keyturn_audit_records_lost_total{${leader}}`]: '0x5 2x20' },
    at: '8m',
    fires: [place],
  },
  {
    alert: 'KeyturnAuditFailing',
    what: 'nothing is retrieved any more since one record was lost, so that none is lost any more',
    series: {
      [`keyturn_audit_records_lost_total{${leader}}`]: '0x5 1x80',
      [`keyturn_audit_failing{${leader}}`]: '0x5 1x80',
      [`keyturn_audit_failing{${standby}}`]: '0x80',
    },
    at: '70m',
    fires: [place],
  },
  {
    alert: 'KeyturnAuditFailing',
    what: 'records were lost an hour ago',
    series: {
      [`keyturn_audit_records_lost_total{${leader}}`]: '0x5 2x80',
      [`keyturn_audit_records_written_total{${leader}}`]: '0+5x80',
      [`keyturn_audit_failing{${leader}}`]: '0x5 1x2 0x80',
    },
    at: '70m',
    fires: [],
  },
  {
    alert: 'KeyturnConnectCertificateExpiring',
    what: 'the certificate is good for less than two weeks',
    series: { [`keyturn_connect_certificate_expiry_timestamp_seconds{${leader}}`]: `${13 * day}x100` },
    at: '70m',
    fires: [place],
  },
  {
    alert: 'KeyturnConnectCertificateExpiring',
    what: 'it is good for a month, and a replica that was replaced as the leader saw the one before',
    series: {
      [`keyturn_connect_certificate_expiry_timestamp_seconds{${leader}}`]: `${30 * day}x100`,
      [`keyturn_connect_certificate_expiry_timestamp_seconds{${standby}}`]: `${day}x100`,
    },
    at: '70m',
    fires: [],
  },
];
