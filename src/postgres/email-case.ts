/**
 * Email addresses in either case. In a database with the collation C, `lower` changes only the letters of ASCII; and no collation that
 * changes all is in every PostgreSQL from 15 on, with or without ICU.
 */

const isAscii = (text: string) => /^\p{ASCII}*$/u.test(text);

/** The letters of the address that `lower` may leave as they are, in capitals and small, one for one. */
const lettersBeyondAscii = (address: string): [capitals: string, smalls: string] => {
  const pairs = Array.from(address, (letter) => [letter.toUpperCase(), letter.toLowerCase()] as const).filter(
    // ß is SS in capitals.
    ([capital, small]) => !isAscii(small) && [...capital].length === 1 && [...small].length === 1,
  );
  return [pairs.map(([capital]) => capital).join(''), pairs.map(([, small]) => small).join('')];
};

/** A condition on the table of deliveries. For an address in ASCII it can use the index on `lower(email)`. */
export const emailIs = (address: string): { condition: string; parameters: string[] } =>
  isAscii(address)
    ? { condition: 'lower(email) = lower($1)', parameters: [address] }
    : {
        condition: 'translate(lower(email), $2, $3) = translate(lower($1), $2, $3)',
        parameters: [address, ...lettersBeyondAscii(address)],
      };

/** Spellings whose `lower` is in the index on `lower(email)`: as it is given, all small, and all in capitals. */
export const emailSpellings = (address: string): string[] => [
  ...new Set([address, address.toLowerCase(), address.toUpperCase()]),
];
