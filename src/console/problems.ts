import type { Problem } from '../http/problem.ts';

export const badRequest = (detail: string): Problem => ({ status: 400, title: 'Bad request', detail });

export const databaseUnavailable: Problem = {
  status: 503,
  title: 'Temporarily unavailable',
  detail: 'The database does not answer. Please try again shortly.',
};
