import type { Operator } from './operators.ts';

export const sessionSeconds = 12 * 3_600;

const sign = (key: string | Uint8Array, text: string) =>
  new Bun.CryptoHasher('sha256', key).update(text).digest();

/**
 * Sessions that no server keeps: the operator's name, when the session ends, and a signature. The key is derived from the operator's
 * token, so a session holds on every replica, and is void once the token is removed or changed.
 */
export const createSessions = (operators: readonly Operator[], now = () => Date.now()) => {
  const signers = new Map(
    operators.map((operator) => {
      const key = sign(operator.token, 'a session of the console');
      return [operator.name, { operator, sign: (text: string) => sign(key, text) }] as const;
    }),
  );
  return {
    /** The value of the session's cookie. */
    open({ name }: Operator): string {
      const text = `${name}.${Math.floor(now() / 1_000) + sessionSeconds}`;
      return `${text}.${signers.get(name)?.sign(text).toString('base64url')}`;
    },
    /** The operator of a cookie's value. `invalid`: it has not been signed with the token of an operator. */
    read(value: string): Operator | 'expired' | 'invalid' {
      const [name = '', ends = '', signature = '', ...more] = value.split('.', 4);
      const signer = signers.get(name);
      if (!signer || more.length > 0) return 'invalid';
      const given = Buffer.from(signature, 'base64url');
      const wanted = signer.sign(`${name}.${ends}`);
      if (given.length !== wanted.length || !crypto.timingSafeEqual(given, wanted)) return 'invalid';
      return Number(ends) * 1_000 > now() ? signer.operator : 'expired';
    },
  };
};
