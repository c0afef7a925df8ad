import { readSmallFile } from './config/small-file.ts';
import { credentialsProblem } from './domain/connect-credentials.ts';

/**
 * `keyturn check-credentials FILE`, run before a Connect server is started: whether the file can be given to it as `OP_SESSION`. What is wrong is
 * told with its cure, and without a word of the file.
 *
 * @returns exit code: 1 when Connect could not use the file, 2 when no file is named
 */
export function checkCredentials(args: readonly string[], print: (line: string) => void): 0 | 1 | 2 {
  const [path] = args;
  if (path === undefined || args.length > 1 || path.startsWith('-')) {
    print('usage: keyturn check-credentials FILE');
    return 2;
  }
  const file = readSmallFile(path);
  if ('problem' in file) {
    print(`the credentials of Connect: ${path} is ${file.problem}`);
    return 1;
  }
  const problem = credentialsProblem(file.text);
  print(problem === undefined ? `${path}: Connect can use these credentials` : `the credentials of Connect cannot be used: ${problem}`);
  return problem === undefined ? 0 : 1;
}
