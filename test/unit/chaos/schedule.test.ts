import { describe, expect, it } from 'vitest';
import { faultOrderSchema } from '../../../dev/connect-server/faults.ts';
import { readOptions } from '../../chaos/options.ts';
import { connectFaultOrders, describeStep, period, type Scheduled, scheduleOf } from '../../chaos/schedule.ts';
import { lease } from '../../chaos/world.ts';

const minutes = 60_000;
const kindsOfFaults = faultOrderSchema.options.map(({ shape }) => shape.kind.value);
const seeds = Array.from({ length: 400 }, (_, seed) => seed);
const schedules = new Map(seeds.map((seed) => [seed, scheduleOf(seed, 2 * minutes).steps]));
const of = (seed: number): readonly Scheduled[] => schedules.get(seed) ?? [];

describe('a schedule', () => {
  it('is the same for the same seed, and another one for another', () => {
    const told = (seed: number) => scheduleOf(seed, minutes).steps.map((step) => `${step.at} ${describeStep(step)}`);
    expect(told(7)).toStrictEqual(told(7));
    expect(scheduleOf(7, minutes).world).toStrictEqual(scheduleOf(7, minutes).world);
    expect(told(8)).not.toStrictEqual(told(7));
  });

  it('is in order, within its time, and numbered', () => {
    const { steps } = scheduleOf(3, 2 * minutes);
    const times = steps.map(({ at }) => at);
    expect(times).toStrictEqual(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).toBeLessThan(2 * minutes);
    expect(steps.map(({ number }) => number)).toStrictEqual(steps.map((_, index) => index));
  });

  it('has every kind of disturbance and of act in two minutes, whatever the seed', () => {
    const wanted = ['kill', 'stop', 'kill-api-server', 'pause-etcd', 'break-watches', 'refuse-connections', 'refuse-requests'];
    const busy = ['create-secret', 'delete-secret', 'edit-secret', 'empty-secret', 'unlabel-secret', 'opt-resource', 'label-resource'];
    const onObjects = ['create-resource', 'delete-resource', 'create-workload', 'delete-workload', 'opt-workload', 'consume'];
    const all = [...wanted, 'connect-fault', 'revoke-token', 'rotate', 'touch-item', 'toggle-extra', ...busy, ...onObjects];
    const missing = seeds.flatMap((seed) => {
      const kinds = new Set<string>(of(seed).map(({ what }) => what));
      return all.filter((kind) => !kinds.has(kind)).map((kind) => `${seed}: ${kind}`);
    });
    expect(missing).toStrictEqual([]);
  });

  it('stops a leader in each minute, for longer than its lease, and lets another one take over', () => {
    for (const seed of seeds) {
      const steps = of(seed);
      const stops = steps.flatMap((step) => (step.what === 'stop' ? [step] : []));
      expect([seed, stops.length]).toStrictEqual([seed, 2]);
      for (const { at, ms } of stops) {
        expect(ms).toBeGreaterThan(lease.duration + 1_000);
        const near = steps.filter((step) => step.at > at - 4_000 && step.at < at + ms);
        const hindering = new Set(['kill', 'kill-api-server', 'pause-etcd', 'refuse-connections', 'refuse-requests']);
        expect([seed, near.filter(({ what }) => hindering.has(what))]).toStrictEqual([seed, []]);
      }
    }
  });

  it('kills several times in each minute, and nobody while it is hard on Connect', () => {
    for (const seed of seeds) {
      const kills = of(seed).flatMap((step) => (step.what === 'kill' ? [step.at] : []));
      expect([seed, kills.filter((at) => at % minutes >= period.all)]).toStrictEqual([seed, []]);
      for (const minute of [0, 1]) expect(kills.filter((at) => Math.floor(at / minutes) === minute).length).toBeGreaterThan(1);
    }
  });

  it('leaves each Secret so much in peace that Keyturn suspects no other operator', () => {
    const { steps } = scheduleOf(4, 30 * minutes);
    const edits = steps.flatMap((step) => ('secret' in step && step.what !== 'unlabel-secret' ? [step] : []));
    for (const { secret, at } of edits) {
      const near = edits.filter((other) => other.secret === secret && other.at <= at && other.at > at - 180_000);
      expect(near.length).toBeLessThan(5);
    }
    expect(edits.length).toBeGreaterThan(200);
  });

  it('has all faults of Connect in two minutes, among them every kind that the server knows', () => {
    for (const seed of seeds) {
      const faults = of(seed).flatMap((step) => (step.what === 'connect-fault' ? [step.fault] : []));
      expect([seed, new Set(faults).size]).toStrictEqual([seed, connectFaultOrders.length]);
    }
    expect([...new Set(connectFaultOrders.map(({ kind }) => kind))].toSorted()).toStrictEqual(kindsOfFaults.toSorted());
    for (const fault of connectFaultOrders) expect(faultOrderSchema.safeParse(fault).success).toBe(true);
  });

  it('rotates nothing at the end of a minute, while Secrets are deleted and edited still', () => {
    const late = of(1).filter(({ at }) => at % minutes >= minutes - 5_000);
    const rotations = late.filter(({ what }) => ['rotate', 'touch-item', 'toggle-extra'].includes(what));
    const edits = late.filter(({ what }) => ['delete-secret', 'edit-secret', 'empty-secret'].includes(what));
    expect([rotations.length, edits.length > 2]).toStrictEqual([0, true]);
  });

  it('has acts on what is there alone', () => {
    const { world, steps } = scheduleOf(11, 10 * minutes);
    const present = new Set([...Object.keys(world.resources), ...Object.keys(world.workloads)]);
    for (const step of steps) {
      const name = 'resource' in step ? step.resource : 'workload' in step ? step.workload : 'secret' in step ? step.secret : undefined;
      if (name === undefined) continue;
      const isNew = ['create-resource', 'create-workload'].includes(step.what);
      expect([step.number, present.has(name)]).toStrictEqual([step.number, !isNew]);
      if (isNew) present.add(name);
      if (step.what === 'delete-resource' || step.what === 'delete-workload') present.delete(name);
    }
  });
});

describe('the options of a run', () => {
  it('are two minutes and any seed unless they say otherwise', () => {
    expect(readOptions([], () => 0.5)).toStrictEqual({ seed: 500_000, duration: 2 * minutes, time: '2m', bundle: undefined });
    expect(readOptions(['--seed', '', '--time', ''], () => 0).seed).toBe(0);
    expect(readOptions(['--seed', '17', '--time', '90s'], () => 0)).toMatchObject({ seed: 17, duration: 90_000, time: '90s' });
  });

  it.each([
    ['--seed=-1', 'SEED takes a whole number'],
    ['--seed=x', 'SEED takes a whole number'],
    ['--time=2', 'TIME takes a time'],
    ['--time=0s', 'TIME takes a time'],
    ['--time=soon', 'TIME takes a time'],
    ['--sed=1', '--sed'],
  ])('are refused: %s', (arg, problem) => {
    expect(() => readOptions([arg], () => 0)).toThrow(problem);
  });
});
