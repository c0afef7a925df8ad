import { buildControlPlane } from '../control-plane/build.ts';
import { sinkFor } from './progress.ts';

const log = (line: string): void => console.error(line);

if ((process.env['KUBEBUILDER_ASSETS'] ?? '') === '') {
  console.log(await buildControlPlane({ log, progress: sinkFor(process.stderr, log) }));
} else {
  log('KUBEBUILDER_ASSETS is set: nothing to build');
}
