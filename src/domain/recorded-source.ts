import { annotations } from '../api/names.ts';

/** Which item a Secret says it was made of, by ids, and in which version. */
export interface RecordedSource {
  readonly vault?: string;
  readonly item?: string;
  readonly itemVersion?: number;
}

/** Reads it from the annotations of a Secret; what is not there, or was written by somebody else in another form, is left out. */
export function recordedSource({
  [annotations.itemPath]: path = '',
  [annotations.itemVersion]: version = '',
}: {
  readonly [name: string]: string;
}): RecordedSource {
  const [, vault, item] = /^vaults\/([a-z0-9]{26})\/items\/([a-z0-9]{26})$/.exec(path) ?? [];
  return {
    ...(vault !== undefined && item !== undefined && { vault, item }),
    ...(/^\d{1,15}$/.test(version) && { itemVersion: Number(version) }),
  };
}
