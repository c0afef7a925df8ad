import fc from 'fast-check';
import { expect, it } from 'vitest';
import { matchesGlob, vaultReach } from '../../src/domain/vault-policy.ts';

const letters = fc.constantFrom('a', 'b', '-', '.', '*', '\n');

it('a pattern takes what the same pattern takes as a regular expression', () => {
  const pattern = fc.string({ unit: letters, maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.', '\n'), maxLength: 10 });
  fc.assert(
    fc.property(pattern, text, (glob, name) => {
      const parts = glob.split('*').map((part) => part.replaceAll('.', '\\.'));
      expect(matchesGlob(glob, name)).toBe(new RegExp(`^${parts.join('.*')}$`, 's').test(name));
    }),
    { numRuns: 2_000 },
  );
});

it('another rule never takes away what a namespace may read, and a rule for others changes nothing', () => {
  const word = fc.constantFrom('shop', 'team-a', 'team-b', 'Prod', 'Ops', '*', 'x'.repeat(26), 'y'.repeat(26));
  const rule = fc.record({ namespaces: fc.array(word, { minLength: 1 }), vaults: fc.array(word, { minLength: 1 }) });
  const vault = fc.record({ id: fc.constantFrom('x'.repeat(26), 'y'.repeat(26)), name: word });
  fc.assert(
    fc.property(fc.array(rule), rule, fc.constantFrom('shop', 'team-a'), vault, (policy, more, namespace, of) => {
      const before = vaultReach(policy, namespace).includes(of);
      const after = vaultReach([...policy, more], namespace).includes(of);
      const concerns = more.namespaces.some((pattern) => matchesGlob(pattern, namespace));
      expect(concerns ? after || !before : after === before).toBe(true);
    }),
  );
});
