import { describe, expect, test } from 'vitest';
import { type ValuesSchema, valuesSchema } from '../../support/chart-values.ts';

/** The values of the official chart: those below a name that ends with a dot, and others alone. */
const official = `
commonLabels
operator. create authMethod replicas autoRestart applicationName imagePullPolicy imagePullSecrets imageRepository pollingInterval version connectUrl
  podSecurityContext securityContext nodeSelector affinity annotations labels podAnnotations podLabels priorityClassName tolerations watchNamespace
  resources logLevel enableAnnotations allowEmptyValues customEnvVars
operator.hpa. enabled annotations minReplicas maxReplicas avgMemoryUtilization avgCpuUtilization behavior
operator.pdb. enabled annotations maxUnavailable minAvailable
operator.probes. port
operator.probes.liveness. create failureThreshold periodSeconds initialDelaySeconds
operator.probes.readiness. create initialDelaySeconds periodSeconds
operator.token. name key value
operator.serviceAccountToken. name key value
operator.serviceAccount. create annotations name
operator.roleBinding. create name
operator.clusterRole. create name
operator.clusterRoleBinding. create name
operator.tls.trust. secret
connect. create replicas applicationName host serviceType serviceAnnotations loadBalancerSourceRanges loadBalancerIP credentialsName credentialsKey
  credentials credentials_base64 imagePullPolicy imagePullSecrets version nodeSelector affinity priorityClassName annotations labels podAnnotations
  podLabels podSecurityContext tolerations customEnvVars
connect.api. name imageRepository resources httpPort httpsPort logLevel securityContext
connect.api.serviceMonitor. enabled interval path params annotations
connect.sync. name imageRepository resources httpPort logLevel securityContext
connect.serviceAccount. create annotations name
connect.hpa. enabled annotations minReplicas maxReplicas avgMemoryUtilization avgCpuUtilization behavior
connect.pdb. enabled annotations maxUnavailable minAvailable
connect.probes. liveness readiness
connect.dataVolume. name type values
connect.tls. enabled secret
connect.ingress. enabled labels annotations ingressClassName pathType hosts extraPaths tls
connect.httpRoute. enabled labels annotations parentRefs hostnames rules
connect.profiler. enabled interval keepLast
acceptanceTests. enabled fixtures healthCheck podSecurityContext securityContext
`;

const paths = official
  .trim()
  .split(/\n(?! )/)
  .flatMap((line) => {
    const [first = '', ...keys] = line.split(/\s+/);
    return first.endsWith('.') ? keys.map((key) => `${first}${key}`) : [first];
  });

/** What the schema makes of a path; undefined for an unknown key. */
function find(schema: ValuesSchema, [key, ...rest]: readonly string[]): ValuesSchema | undefined {
  if (key === undefined) return schema;
  const next = schema.properties?.[key];
  // Of what is refused as a whole the keys are not told apart.
  return next === undefined || next.deprecated === true ? next : find(next, rest);
}

describe('a value of the official chart', () => {
  test.each(paths)('is known: %s', (path) => {
    expect(find(valuesSchema, path.split('.'))).toBeDefined();
  });
});
