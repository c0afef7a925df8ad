import { describe, expect, it } from 'vitest';
import { credentialsProblem } from '../../../src/domain/connect-credentials.ts';

const canary = 'canary-credentials';
const file = JSON.stringify({ verifier: { salt: canary }, encCredentials: { data: '??>>~~' + canary }, version: '2' });
const encode = (text: string): string => Buffer.from(text).toString('base64');
const once = encode(file);

describe('the credentials of a Connect server', () => {
  it.each([
    ['in base64', once],
    ['in base64 for URLs, without padding', Buffer.from(file).toString('base64url')],
    ['in lines', once.replaceAll(/.{76}/g, '$&\n') + '\n'],
  ])('are accepted %s', (_, text) => {
    expect(credentialsProblem(text)).toBeUndefined();
  });

  it.each([
    ['not encoded', file, /not base64-encoded.*encode the file once/],
    ['encoded twice', encode(once), /base64-encoded twice: encode the file once/],
    ['encoded twice, in lines', encode(once.replaceAll(/.{76}/g, '$&\n')), /base64-encoded twice/],
    ['empty', ' \n', /empty/],
    ['some other text', canary, /no credentials file.*download/],
    ['other JSON', JSON.stringify({ token: canary }), /no credentials file.*download/],
    ['other JSON, encoded', encode(JSON.stringify({ token: canary })), /no credentials file.*download/],
    ['encoded three times', encode(encode(once)), /no credentials file.*download/],
  ])('that are %s are told with the cure, and without their text', (_, text, problem) => {
    expect(credentialsProblem(text)).toMatch(problem);
    expect(credentialsProblem(text)).not.toContain(canary);
  });
});
