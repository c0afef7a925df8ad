/**
 * Preloaded into the processes of the demo: standard input is a pipe that the demo holds open, and the kernel closes it however
 * the demo dies. So none of them outlives it.
 */
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
// Nothing ever comes, and waiting for it must not keep the process alive.
if ('unref' in process.stdin && typeof process.stdin.unref === 'function') process.stdin.unref();
