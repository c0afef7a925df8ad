/** `npm run crd` writes the CustomResourceDefinition that the schema in src/api yields; with --check it only compares. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { customResourceDefinition } from '../../src/api/custom-resource-definition.ts';

const file = fileURLToPath(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url));
const content = `# Generated from src/api/onepassword-item.ts by \`npm run crd\`.\n${stringify(customResourceDefinition(), { lineWidth: 0 })}`;

if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== content) {
    console.error(`${file} differs from the schema in src/api: run \`npm run crd\` and commit the result`);
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, content);
}
