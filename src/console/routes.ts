import type { Erasures } from '../postgres/erasures.ts';
import { createEraseApi } from './erasure/api.ts';
import { createErasePages } from './erasure/pages.tsx';
import { createLettersApi } from './letters/api.ts';
import { createLetterPages } from './letters/pages.tsx';
import { createOrderRoutes } from './orders/routes.tsx';
import { createOverview } from './overview/routes.tsx';
import type { ConsoleRoute } from './route.ts';

export type ConsoleParts = Parameters<typeof createOverview>[0] &
  Parameters<typeof createOrderRoutes>[0] &
  Parameters<typeof createLetterPages>[0] & { erasures: Erasures };

/** All pages and the API of the console. */
export const createConsoleRoutes = (parts: ConsoleParts): ConsoleRoute[] => [
  ...createOverview(parts),
  ...createOrderRoutes(parts),
  ...createLetterPages(parts),
  ...createLettersApi(parts.letters),
  ...createErasePages(parts.erasures),
  createEraseApi(parts.erasures),
];
