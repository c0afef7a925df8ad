import { type Connect, rotatedKey } from './connect.ts';
import type { Paint } from './screen.ts';
import { shellQuote } from './shell-quote.ts';
import type { Target } from './target.ts';
import { names } from './tour.ts';

/** How the reader goes on by hand while everything runs. */
export function instructions(target: Target, connect: Connect, logFile: string, paint: Paint): readonly string[] {
  const { kubeconfig, kubectlFolder, namespaced, namespace, pods } = target;
  const kubectl = namespaced ? `kubectl -n ${namespace}` : 'kubectl';
  const patch = `[{"op":"replace","path":"${connect.fieldPath}","value":"'"$(date +%s)"'"}]`;
  const block = (title: string, ...commands: readonly string[]): string[] => [
    '',
    title,
    ...commands.map((line) => `  ${paint('cyan', line)}`),
  ];
  return [
    ...block(
      'Everything stays up until Ctrl-C. To go on by hand, in another terminal:',
      `export KUBECONFIG=${shellQuote(kubeconfig)}`,
      ...(kubectlFolder === undefined ? [] : [`export PATH=${shellQuote(kubectlFolder)}:"$PATH"  # has a kubectl`]),
      `export OP_CONNECT_HOST=${connect.url}`,
      `export OP_CONNECT_TOKEN=${connect.token}`,
    ),
    ...block(
      `Rotate the ${rotatedKey} once more, and watch below:`,
      `curl -fsS -o /dev/null -X PATCH -H "Authorization: Bearer $OP_CONNECT_TOKEN" \\`,
      `  -d '${patch}' "$OP_CONNECT_HOST${connect.itemPath}"`,
    ),
    ...block(
      'Look around:',
      `${kubectl} get onepassworditems,secrets,deployments,pods`,
      `${kubectl} describe onepassworditem ${names.item}`,
      ...(pods === undefined ? [] : [`${kubectl} logs --selector=app=web --prefix`]),
      `tail -f ${shellQuote(logFile)}`,
    ),
    ...block('Delete the Secret, and it comes back without a restart:', `${kubectl} delete secret ${names.secret}`),
    '',
  ];
}
