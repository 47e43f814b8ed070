/** The SQL of marks: an order that was erased is marked by a keyed digest of its order_uid, in `erased_orders`. */

/** The digest of the order_uid that `expression` yields: HMAC-SHA-256 with the database's own key. */
export const digestOf = (expression: string) =>
  `sha256((select outer_pad from erasure_key) || sha256((select inner_pad from erasure_key) || convert_to(${expression}, 'UTF8')))`;

/**
 * Whether the order_uid is not marked. While nothing is marked that is one look at an empty table for the whole statement. Otherwise each
 * order takes a digest, once by the sub-select, and a probe of the index: a join could become a scan of all marks.
 */
export const isNotErased = (expression: string) =>
  `(not exists (select from erased_orders)
    or (select count(*) from erased_orders where digest = (select ${digestOf(expression)})) = 0)`;
