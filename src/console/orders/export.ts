import type { Order } from '../../order/order.ts';
import { csvHead, toCsv } from './csv.ts';

export const formats = ['csv', 'ndjson'] as const;
type ExportFormat = (typeof formats)[number];

/** Small, as a page is converted in one go on the thread that answers lookups. */
export const exportPage = 100;

type Page = { documents: string[]; next: string | undefined };
type ReadPage = (after: string | undefined) => Promise<Page>;

const toText = {
  csv: (documents: readonly string[]) => documents.map((json) => toCsv(JSON.parse(json) as Order)).join(''),
  ndjson: (documents: readonly string[]) => documents.map((json) => `${json}\n`).join(''),
};

/**
 * Orders, read page by page as the client takes them. Rejects with the error of the first page, before anything is sent. `onEnd` is
 * called once, with how many were sent and whether those were all.
 */
export const streamOrders = async (
  read: ReadPage,
  format: ExportFormat,
  onEnd: (sent: number, isWhole: boolean) => void,
): Promise<ReadableStream<Uint8Array>> => {
  const utf8 = new TextEncoder();
  let first: Page | undefined = await read(undefined);
  let after: string | undefined;
  let sent = 0;
  return new ReadableStream(
    {
      start(controller) {
        if (format === 'csv') controller.enqueue(utf8.encode(csvHead));
      },
      async pull(controller) {
        try {
          const page = first ?? (await read(after));
          first = undefined;
          if (page.documents.length > 0) controller.enqueue(utf8.encode(toText[format](page.documents)));
          sent += page.documents.length;
          after = page.next;
        } catch (error) {
          onEnd(sent, false);
          // The connection is cut, so that the client does not take a part for the whole.
          controller.error(error);
          return;
        }
        if (after !== undefined) return;
        onEnd(sent, true);
        controller.close();
      },
      cancel: () => onEnd(sent, false),
    },
    { highWaterMark: 1 },
  );
};
