/** An order as it is answered: JSON in UTF-8, with the strong entity tag of exactly these bytes. */
export type EncodedOrder = { body: Uint8Array<ArrayBuffer>; etag: string };

const utf8 = new TextEncoder();

export const encodeOrder = (json: string | Uint8Array<ArrayBuffer>): EncodedOrder => {
  const body = typeof json === 'string' ? utf8.encode(json) : json;
  return { body, etag: `"${Bun.hash(body).toString(36)}"` };
};
