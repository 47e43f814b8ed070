import type { Tier } from '../src/lookup/lookup.ts';
import type { Order } from '../src/order/order.ts';
import type { Format } from './format.ts';
import type { Language } from './language.ts';
import type { Text } from './text.ts';

export type Theme = 'light' | 'dark';

/** What a page depends on beside the order. Without a theme it follows the system's. */
export type View = {
  language: Language;
  theme: Theme | undefined;
  /** The visitor's time zone, such as Europe/Moscow. */
  zone: string | undefined;
  text: Text;
  format: Format;
  now: Date;
  /** Whether the page's script runs, as it does where it made the request. */
  hasScript?: boolean;
};

/** The tier that an order came from. `others`: how long the last hit in each other tier took, in ms. */
export type Source = { tier: Tier; tookMs: number; others: Partial<Record<Tier, number>> };

/** One of several numbers that were looked up; `given` is the number. */
export type Row =
  | { state: 'found'; given: string; order: Order; source: Source }
  | { state: 'notFound' | 'malformed' | 'unavailable'; given: string };

/** The result of a lookup. `given` is the text for the field. */
export type Finding =
  | { state: 'empty'; given: '' }
  | { state: 'found'; given: string; order: Order; source: Source }
  | { state: 'several'; given: string; rows: readonly Row[] }
  | { state: 'notFound' | 'malformed' | 'shortened'; given: string }
  /** `count`: how many numbers were given. */
  | { state: 'tooMany'; given: ''; count: number }
  | { state: 'unavailable'; given: string; retryAfterSeconds: number };

/** What the page shows: a finding, or that the client has to wait before it may look up. */
export type Shown = Finding | { state: 'tooOften'; given: string; retryAfterSeconds: number };

/** The page with an order on it; this link can be shared. Relative, as all links of the page, which may be below a base path. */
export const linkTo = (uid: string) => (uid === '' ? './' : `./?uid=${encodeURIComponent(uid)}`);

/** The page with these orders on it, in this order. */
export const linkToAll = (uids: readonly string[]) =>
  `./?${uids.map((uid) => `uid=${encodeURIComponent(uid)}`).join('&')}`;

/** The address of what was found. */
export const linkToFinding = (finding: Shown) =>
  finding.state === 'several' ? linkToAll(finding.rows.map(({ given }) => given)) : linkTo(finding.given);

/** A text as the value of an attribute. JSX escapes its quotes, but not `&`, so `&lt;` would become `<`. */
export const literal = (text: string) => text.replaceAll('&', '&amp;');
