/** A spreadsheet would run a text that begins with one of these as a formula. It may skip spaces and control characters first. */
const formula = /^[\s\p{C}]*[=+\-@＝＋－＠]|^[\t\r\n]/u;

/** A text that a spreadsheet shows and does not run: one that it would run gets an apostrophe before it. */
export const toInert = (text: string): string => (formula.test(text) ? `'${text}` : text);

/** A cell by RFC 4180, for either of the separators `,` and `;`. Spreadsheets do not run it. */
export const toCell = (value: string | number): string => {
  if (typeof value === 'number') return `${value}`;
  const text = toInert(value);
  return /[",;\r\n\t]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
