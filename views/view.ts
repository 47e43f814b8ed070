import type { Tier } from '../src/lookup/lookup.ts';
import type { Order } from '../src/order/order.ts';
import type { Format } from './format.ts';
import type { Language } from './language.ts';
import type { Text } from './text.ts';

export type Theme = 'light' | 'dark';

/** For whom a page is written, and when. Without a theme it follows the system's. */
export type View = {
  language: Language;
  theme: Theme | undefined;
  /** The reader's time zone, such as Europe/Moscow. */
  zone: string | undefined;
  text: Text;
  format: Format;
  now: Date;
};

/** Where an order came from. `took` in ms; `others` is what the other tiers took the last time. */
export type Source = { tier: Tier; took: number; others: Partial<Record<Tier, number>> };

/** What came of a lookup. `given` is what was typed, for the field. */
export type Finding =
  | { state: 'empty'; given: '' }
  | { state: 'found'; given: string; order: Order; source: Source }
  | { state: 'notFound' | 'malformed'; given: string }
  | { state: 'unavailable'; given: string; retryAfterSeconds: number };

/** The page with an order on it; this link can be shared. Relative, as every link here: the page may lie below a path. */
export const linkTo = (uid: string) => (uid === '' ? './' : `./?uid=${encodeURIComponent(uid)}`);

/** A text as the value of an attribute. JSX escapes the quotes there, and would leave `&lt;` to be read as `<`. */
export const literal = (text: string) => text.replaceAll('&', '&amp;');
