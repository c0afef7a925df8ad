import { settings } from '../../src/config/settings.ts';

/** For one item, a tenth of them, and all. */
export type Rounds = Readonly<Record<'one' | 'tenth' | 'all', number>>;

/** How much a run of the benchmarks takes on. Counts of objects, unless they say otherwise. */
export interface Form {
  readonly name: 'short' | 'quick' | 'full';
  /** Resources of one namespace, each with an item of its own. */
  readonly small: number;
  readonly large: number;
  readonly foreign: number;
  readonly deployments: number;
  /** What it may take without a peer, on two cores. */
  readonly minutes: number;
  /** Cold syncs of each side, by how long Connect takes for an answer. */
  readonly coldRounds: Readonly<Record<'at5ms' | 'at50ms', number>>;
  readonly restarts: number;
  /** Polls at which nothing changes, over which requests, writes and processor time are counted. */
  readonly quietPolls: number;
  /** Seconds between them. */
  readonly quietInterval: number;
  /**
   * Seconds from the start of the process until that begins. V8 tidies up once, half a minute after a start, which tells nothing of an hour: the
   * window is before it, or well after.
   */
  readonly quietSettling: number;
  /** How often each number of items is rotated, at the default interval and at one second. */
  readonly rotations: { readonly atDefault: Rounds; readonly atOneSecond: Rounds };
  readonly fanOuts: number;
  /** Seconds until memory is measured after something ended. */
  readonly settling: number;
}

/** Seconds between two polls where nothing is set. */
export const defaultInterval = Number(settings.pollingInterval.default);

const whole = { small: 1_000, large: 10_000, foreign: 10_000, deployments: 500 } as const;

/** `short` is for CI, where counts are checked and times mean nothing; the others have the sizes that the targets speak of. */
export const forms: Readonly<Record<Form['name'], Form>> = {
  short: {
    name: 'short',
    small: 100,
    large: 300,
    foreign: 500,
    deployments: 50,
    minutes: 3,
    coldRounds: { at5ms: 1, at50ms: 1 },
    restarts: 1,
    quietPolls: 4,
    quietInterval: 2,
    quietSettling: 0,
    rotations: { atDefault: { one: 0, tenth: 0, all: 0 }, atOneSecond: { one: 1, tenth: 1, all: 1 } },
    fanOuts: 1,
    settling: 2,
  },
  quick: {
    name: 'quick',
    ...whole,
    minutes: 5,
    coldRounds: { at5ms: 2, at50ms: 1 },
    restarts: 3,
    quietPolls: 2,
    quietInterval: defaultInterval,
    quietSettling: 5,
    rotations: { atDefault: { one: 0, tenth: 0, all: 0 }, atOneSecond: { one: 5, tenth: 2, all: 1 } },
    fanOuts: 1,
    settling: 16,
  },
  full: {
    name: 'full',
    ...whole,
    minutes: 30,
    coldRounds: { at5ms: 5, at50ms: 5 },
    restarts: 10,
    quietPolls: 12,
    quietInterval: defaultInterval,
    quietSettling: 45,
    rotations: { atDefault: { one: 3, tenth: 3, all: 3 }, atOneSecond: { one: 10, tenth: 10, all: 10 } },
    fanOuts: 3,
    settling: 25,
  },
};

/** Vaults that the resources of one size are spread over. */
export const vaultCount = 2;
