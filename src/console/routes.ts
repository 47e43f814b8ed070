import { createOverview } from './overview.tsx';
import type { ConsoleRoute } from './route.ts';

export type ConsoleParts = Parameters<typeof createOverview>[0];

/** All pages and the API of the console. */
export const createConsoleRoutes = (parts: ConsoleParts): ConsoleRoute[] => [...createOverview(parts)];
