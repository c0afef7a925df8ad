/**
 * How Node is started for the operator, wherever that is written: without an inspector that a signal could open, and with a heap that V8 keeps small
 * (docs/memory.md has what that saves and costs). Both count from the start of the process and cannot be set in it.
 */
export const startFlags: readonly string[] = ['--disable-sigusr1', '--optimize-for-size'];
