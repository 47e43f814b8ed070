/** The error's message, else its code, as one line of at most 300 characters: for logs, headers and terminals. */
export const errorText = (error: unknown): string => {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const text = typeof message === 'string' && message ? message : String(code ?? error);
  // Cut first: the expression must not read megabytes.
  return text.slice(0, 3_000).replace(/\s+/g, ' ').slice(0, 300);
};
