import { toProblem } from './problem.ts';

/** Wrong tokens a minute of one client; after that none of its tokens is compared. */
export const wrongTokensPerMinute = 10;

const scheme = 'bearer ';

/** The credentials of the Bearer scheme; undefined for none, or another scheme's. */
export const bearerOf = ({ headers }: Request): string | undefined => {
  const authorization = headers.get('authorization') ?? '';
  return authorization.slice(0, scheme.length).toLowerCase() === scheme
    ? authorization.slice(scheme.length).trim()
    : undefined;
};

const digest = (text: string) => new Bun.CryptoHasher('sha256').update(text).digest();

/**
 * Compares digests in constant time, so that the time reveals neither the secret nor its length. Synchronous, so that concurrent
 * requests are all counted before the next one is compared.
 */
export const createTokenCheck = (secret: string) => {
  const wanted = digest(secret);
  return (given: string): boolean => crypto.timingSafeEqual(wanted, digest(given));
};

/** `waitMs`: until the next token of the client is compared. */
export const tooManyWrongTokens = (waitMs: number) => {
  const seconds = Math.ceil(waitMs / 1000);
  return {
    problem: {
      status: 429,
      title: 'Too many wrong tokens',
      detail: `One client may send ${wrongTokensPerMinute} wrong tokens a minute. Please wait ${seconds} s.`,
    },
    headers: { 'retry-after': String(seconds) },
  };
};

export const refuseWrongTokens = (request: Request, waitMs: number): Response => {
  const { problem, headers } = tooManyWrongTokens(waitMs);
  return toProblem(request, problem, headers);
};
