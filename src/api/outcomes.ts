/** What can become of things that are counted: the values of metrics' labels. They are stable, as reasons are. */

/** What became of a write of a Secret: `conflict` lost against a faster writer, and is tried again. */
export const secretWriteResults = ['created', 'updated', 'conflict', 'refused', 'failed'] as const;
export type SecretWriteResult = (typeof secretWriteResults)[number];

/**
 * What became of a restart: `restarted` when its rollout begins, and when that ends `completed`, `failed`, or `reverted` when somebody went back to
 * another template; `on_delete` leaves it to whoever deletes the pods.
 */
export const restartResults = ['restarted', 'on_delete', 'would_restart', 'skipped', 'refused', 'completed', 'failed', 'reverted'] as const;
export type RestartResult = (typeof restartResults)[number];

/**
 * Why a restart that is due has not begun: the `debounce`, its turn in the `budget`, until it is resumed (`paused`) or its `interval` is over;
 * rollouts of the version are `held`; admission `refused` it; somebody `reverted` the last one; no new pod would start (`key_missing`).
 */
export const waitReasons = ['debounce', 'budget', 'paused', 'interval', 'held', 'refused', 'reverted', 'key_missing'] as const;
export type WaitReason = (typeof waitReasons)[number];
