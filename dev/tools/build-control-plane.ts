import { buildControlPlane } from '../control-plane/build.ts';
import { sinkFor } from './progress.ts';

const log = (line: string): void => console.error(line);

if ((process.env['KUBEBUILDER_ASSETS'] ?? '') === '') {
  try {
    console.log(await buildControlPlane({ log, progress: sinkFor(process.stderr, log) }));
  } catch (error) {
    // Whoever runs this wants the cure, which the message names, and not where in here it was thrown.
    log((error as Error).message);
    process.exitCode = 1;
  }
} else {
  log('KUBEBUILDER_ASSETS is set: nothing to build');
}
