import { en, type Words } from './english.ts';
import { ru } from './russian.ts';

export type { Words };

/** All strings of the console. */
export const consoleWords = { ru, en };
