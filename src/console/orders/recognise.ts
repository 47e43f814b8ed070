import type { SearchField } from '../../postgres/search.ts';

/** What a typed text may be. */
export type SearchKind = 'newest' | 'number' | 'short' | 'beginning' | SearchField;

/** A kind, and the text as that kind is written. `end`: of a shortened number. */
export type Candidate = { kind: SearchKind; value: string; end?: string };

const minPrefix = 4;
const maxLength = 200;
/** As the page shortens a number: its first four characters, and its last five. */
const shortened = /^(.{3,40}?)(?:…|\.\.\.)(.{3,40})$/su;

/** A phone number as it is stored. In Russia people write 8 for +7. */
const toPhone = (text: string): string | undefined => {
  if (!/^\+?[\d\s().-]{5,30}$/.test(text)) return undefined;
  const digits = text.replace(/\D/g, '');
  if (digits.length < 5 || digits.length > 15) return undefined;
  const isDomestic = !text.startsWith('+') && digits.length === 11 && digits.startsWith('8');
  return `+${isDomestic ? `7${digits.slice(1)}` : digits}`;
};

/** What a text may be, the likeliest first. None: it is too long for anything. */
export const recognise = (typed: string): Candidate[] => {
  const text = typed.trim();
  if (text === '') return [{ kind: 'newest', value: '' }];
  const length = [...text].length;
  if (length > maxLength || text.includes('\0')) return [];
  const [, start, end] = shortened.exec(text) ?? [];
  if (start !== undefined && end !== undefined) return [{ kind: 'short', value: start, end }];
  if (/^[^@\s]+@[^@\s]+$/.test(text)) return [{ kind: 'email', value: text }];
  const phone = toPhone(text);
  if (phone !== undefined && text.startsWith('+')) return [{ kind: 'phone', value: phone }];
  const is = (kind: SearchKind, condition: boolean, value = text): Candidate[] =>
    condition ? [{ kind, value }] : [];
  const isArticle = /^\d{1,15}$/.test(text);
  return [
    ...is('number', length >= 10 && length <= 50),
    ...is('phone', phone !== undefined && phone.length > 10, phone ?? ''),
    ...is('nm_id', isArticle),
    ...is('track', length >= 3 && length <= 50 && !/\s/.test(text)),
    ...is('transaction', length <= 50),
    ...is('rid', length <= 50),
    ...is('customer', length <= 50),
    ...is('beginning', length >= minPrefix && length <= 50),
  ];
};
