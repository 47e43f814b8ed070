/** The orders of the tests of the lookup, by number. */
import { encodeOrder } from '../../src/order/encoded-order.ts';

export const uidOf = (number: number) => `order-${String(number).padStart(6, '0')}`;

/** As long as an order is, and not only ASCII. */
export const jsonOf = (uid: string) =>
  `{"order_uid":${JSON.stringify(uid)},"text":"žluť 🚚","padding":"${'x'.repeat(500)}"}`;

export const documentOf = (uid: string) => encodeOrder(jsonOf(uid));

/** A store with what `find` finds. */
export const storeOf = (find: (uid: string) => Promise<string | undefined>) => ({
  find,
  async findAll(uids: readonly string[]) {
    const found = await Promise.all(uids.map(async (uid) => [uid, await find(uid)] as const));
    return new Map(found.flatMap(([uid, json]) => (json === undefined ? [] : [[uid, json] as const])));
  },
  findOtherCases: async (uids: readonly string[]) => uids.map((): string[] => []),
});
