import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { customResourceDefinition } from '../../src/api/custom-resource-definition.ts';
import { runCrd } from '../../src/crd.ts';
import type { ControlPlane } from '../../dev/control-plane/start.ts';
import { ownControlPlane } from '../support/control-plane.ts';
import { oldCrd } from '../support/old-crd.ts';

const name = 'onepassworditems.onepassword.com';
const grants = ['--verb=get,patch,create', '--resource=customresourcedefinitions.apiextensions.k8s.io'];

let controlPlane: ControlPlane;
let kubeconfig: string;

beforeAll(async () => {
  controlPlane = await ownControlPlane({ simulatePods: false });
  const user = await controlPlane.user('crd');
  kubeconfig = user.kubeconfig;
  await kubectl(['create', 'clusterrole', 'crd', ...grants]);
  await kubectl(['create', 'clusterrolebinding', 'crd', '--clusterrole=crd', '--serviceaccount=default:crd']);
});

afterAll(() => controlPlane?.stop());

async function kubectl(args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, stdin);
  if (code !== 0) throw new Error(`kubectl ${args[0]}: ${stderr}`);
  return stdout;
}

async function crd(...args: readonly string[]): Promise<{ code: number; lines: readonly string[] }> {
  const lines: string[] = [];
  return { code: await runCrd({ args, print: (line) => lines.push(line) }), lines };
}

const apply = (): ReturnType<typeof crd> => crd('--kubeconfig', kubeconfig);
const schemaOf = async (): Promise<unknown> => JSON.parse(await kubectl(['get', 'crd', name, '-o', 'jsonpath={.spec.versions}']));

describe('keyturn crd', () => {
  it('makes the definition, which is served when it ends, and changes nothing after that', async () => {
    expect(await apply()).toEqual({ code: 0, lines: [`CustomResourceDefinition ${name} created`] });
    await kubectl(['get', 'onepassworditems']);
    expect(await apply()).toEqual({ code: 0, lines: [`CustomResourceDefinition ${name} unchanged`] });
  });

  it('changes one that kubectl laid down, and keeps its resources', async () => {
    await kubectl(['delete', 'crd', name]);
    await kubectl(['apply', '-f', '-'], oldCrd);
    await kubectl(['wait', '--for=condition=Established', `crd/${name}`, '--timeout=20s']);
    await kubectl(
      ['create', '-f', '-'],
      'apiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata: {name: db}\nspec: {itemPath: vaults/a/items/b}',
    );
    const uid = await kubectl(['get', 'onepassworditems', 'db', '-o', 'jsonpath={.metadata.uid}']);
    expect(await apply()).toEqual({ code: 0, lines: [`CustomResourceDefinition ${name} changed`] });
    const { spec } = customResourceDefinition() as { spec: { versions: unknown } };
    expect(await schemaOf()).toMatchObject(spec.versions as object);
    expect(await kubectl(['get', 'onepassworditems', 'db', '-o', 'jsonpath={.metadata.uid}'])).toBe(uid);
  });

  it('tells what it may not do', async () => {
    const other = await controlPlane.user('nobody');
    const { code, lines } = await crd('--kubeconfig', other.kubeconfig);
    expect(code).toBe(1);
    expect(lines).toEqual([
      expect.stringMatching(/was not applied: .*403 Forbidden; .*get, create and patch for customresourcedefinitions/),
    ]);
  });

  it('waits for an API server that is starting', async () => {
    await controlPlane.stopApiServer();
    const applying = apply();
    await controlPlane.startApiServer();
    expect(await applying).toEqual({ code: 0, lines: [`CustomResourceDefinition ${name} unchanged`] });
  });

  it('prints the definition', async () => {
    const { code, lines } = await crd('--print');
    expect(code).toBe(0);
    expect(parse(lines.join('\n'))).toEqual(customResourceDefinition());
  });

  it('says how it is used', async () => {
    expect(await crd('--prind')).toEqual({ code: 2, lines: [expect.stringMatching(/^usage: keyturn crd/)] });
  });
});
