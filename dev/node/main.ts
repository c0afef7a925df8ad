/** `npm run node-cluster`: a cluster of one node with real pods, until interrupted. `--clean` undoes what a killed one left. */
import { parseArgs } from 'node:util';
import { sinkFor } from '../tools/progress.ts';
import { startNode, undoLeftovers } from './start.ts';
import { nodeSupport } from './support.ts';

const log = (line: string): void => console.error(line);

async function clean(): Promise<void> {
  if (!(await undoLeftovers(log))) log('no killed node left anything');
}

async function serve(): Promise<void> {
  const support = await nodeSupport(log);
  if (!support.ok) {
    console.log(`SKIPPED: ${support.reason}`);
    process.exitCode = 2;
    return;
  }
  const asked = new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done());
  });
  const node = await startNode({ log, progress: sinkFor(process.stderr, log) });
  console.log(`export KUBECONFIG=${node.kubeconfig}`);
  log('node runs until interrupted');
  await asked;
  await node.stop();
}

const { values } = parseArgs({ options: { clean: { type: 'boolean', default: false } } });
try {
  await (values.clean ? clean() : serve());
} catch (error) {
  log((error as Error).message);
  process.exitCode = 1;
}
