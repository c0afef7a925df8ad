import { describe, expect, it } from 'vitest';
import { faultOrderSchema } from '../../../dev/connect-server/faults.ts';
import { readOptions } from '../../chaos/options.ts';
import { connectFaultOrders, describeStep, type Scheduled, scheduleOf } from '../../chaos/schedule.ts';
import { lease } from '../../chaos/world.ts';

const minutes = 60_000;
const kindsOfFaults = faultOrderSchema.options.map(({ shape }) => shape.kind.value);
const of = (seed: number): readonly Scheduled[] => scheduleOf(seed, 2 * minutes).steps;

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

  it('has every kind of disturbance and of act in two minutes, and every kind of fault that the server knows', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const kinds = new Set(of(seed).map(({ what }) => what));
      const wanted = ['kill', 'stop', 'break-watches', 'connect-fault', 'revoke-token', 'rotate', 'delete-secret', 'edit-secret'];
      const busy = ['create-resource', 'delete-resource', 'create-workload', 'delete-workload', 'opt-workload', 'opt-resource'];
      expect([...kinds]).toStrictEqual(expect.arrayContaining([...wanted, ...busy]));
      const kills = of(seed).filter(({ what }) => what === 'kill');
      expect(kills.length).toBeGreaterThan(8);
      const stops = of(seed).flatMap((step) => (step.what === 'stop' ? [step.ms] : []));
      expect(Math.min(...stops)).toBeGreaterThan(lease.duration);
    }
    const some = [1, 2, 3, 4, 5].flatMap((seed) => of(seed).map(({ what }) => what));
    expect(some).toStrictEqual(expect.arrayContaining(['kill-api-server', 'pause-etcd', 'refuse-connections', 'refuse-requests']));
    expect([...new Set(connectFaultOrders.map(({ kind }) => kind))].toSorted()).toStrictEqual(kindsOfFaults.toSorted());
    for (const fault of connectFaultOrders) expect(faultOrderSchema.safeParse(fault).success).toBe(true);
  });

  it('has all faults in four minutes', () => {
    const faults = scheduleOf(1, 4 * minutes).steps.flatMap((step) => (step.what === 'connect-fault' ? [step.fault] : []));
    expect(new Set(faults)).toStrictEqual(new Set(connectFaultOrders));
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
      expect([step.number, present.has(name)]).toStrictEqual([step.number, !step.what.startsWith('create-')]);
      if (step.what.startsWith('create-')) present.add(name);
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
