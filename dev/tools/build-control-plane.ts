/** Builds the control plane, or with the argument `node` what a node of it runs, unless that was done before. */
import { buildControlPlane, buildNode } from '../control-plane/build.ts';
import { sinkFor } from './progress.ts';

const build = process.argv[2] === 'node' ? buildNode : buildControlPlane;
const log = (line: string): void => console.error(line);

if ((process.env['KUBEBUILDER_ASSETS'] ?? '') === '') {
  try {
    console.log(await build({ log, progress: sinkFor(process.stderr, log) }));
  } catch (error) {
    // Whoever runs this wants the cure, which the message names, and not where in here it was thrown.
    log((error as Error).message);
    process.exitCode = 1;
  }
} else {
  log('KUBEBUILDER_ASSETS is set: nothing to build');
}
