import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startControlPlane } from './start.ts';

const { values } = parseArgs({ options: { directory: { type: 'string' } } });
const directory = resolve(values.directory ?? `.cache/run/${process.pid}-manual`);
const controlPlane = await startControlPlane({ directory, log: (line) => console.error(line) });
console.log(`export KUBECONFIG=${controlPlane.kubeconfig}`);
console.error('control plane runs until interrupted');

const stop = (): void => void controlPlane.stop().then(() => process.exit(0));
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
