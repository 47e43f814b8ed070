import { en, type Text } from './english.ts';
import { ru } from './russian.ts';

export type { Text };

/** All strings of the page. `fill` replaces `{name}`. */
export const texts = { ru, en };
