import { annotations } from '../../src/api/names.ts';
import { parseRevisions, revisionOf } from '../../src/domain/revisions.ts';
import type { TemplateSeen, ValueChange } from './rollout-history.ts';

/**
 * The rolls of a workload for which there was no change, of those given: each needs one that was written before it and that no roll before it
 * has answered. A roll answers all that were written before it, but those that it does not know: it had set out when they came.
 * @param rolls in order
 */
export function unaskedRolls(rolls: readonly TemplateSeen[], changes: readonly ValueChange[]): readonly TemplateSeen[] {
  let open = changes;
  return rolls.filter(({ at, annotations: notes }) => {
    const known = parseRevisions(notes[annotations.knownRevisions]);
    const left = open.filter((change) => change.at > at || change.revision > (revisionOf(known, change.secret) ?? 0));
    const isUnasked = left.length === open.length;
    open = left;
    return isUnasked;
  });
}
