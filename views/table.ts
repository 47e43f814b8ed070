import { toCell, toInert } from '../src/http/csv.ts';
import type { Row, View } from './view.ts';

/** The word for what was found under a number. */
export const wordOf = ({ text }: View, { state }: Row): string =>
  ({
    found: text.rowFound,
    notFound: text.rowNotFound,
    malformed: text.rowMalformed,
    unavailable: text.rowUnavailable,
  })[state];

/** Several orders as rows of text, with a head: for a spreadsheet. No personal data. */
export const toTable = (view: View, rows: readonly Row[]): string[][] => [
  [
    view.text.number,
    view.text.state,
    view.text.placed,
    view.text.track,
    view.text.items,
    view.text.total,
    view.text.currency,
    view.text.itemStatus,
  ].map((head) => head.toLowerCase()),
  ...rows.map((row) => {
    if (row.state !== 'found') return [row.given, wordOf(view, row), '', '', '', '', '', ''];
    const { order_uid, date_created, track_number, items, payment } = row.order;
    // With spaces alone, a spreadsheet would read them as one number.
    const statuses = [...new Set(items.map(({ status }) => status))].join('; ');
    const { amount, currency } = payment;
    return [
      order_uid,
      wordOf(view, row),
      date_created,
      track_number,
      `${items.length}`,
      `${amount}`,
      currency,
      statuses,
    ];
  }),
];

/** RFC 4180, with a byte order mark, by which spreadsheets know UTF-8; `separator` as the reader's spreadsheet expects it. */
export const toCsv = (table: readonly string[][], separator: ',' | ';') =>
  `\ufeff${table.map((row) => `${row.map(toCell).join(separator)}\r\n`).join('')}`;

/** As spreadsheets paste it. */
export const toTsv = (table: readonly string[][]) =>
  table.map((row) => row.map((cell) => toInert(cell.replaceAll(/[\t\r\n]/g, ' '))).join('\t')).join('\n');
