/** An order as it is answered: JSON in UTF-8, with the strong entity tag of exactly these bytes. */
export type Document = { body: Uint8Array<ArrayBuffer>; etag: string };
