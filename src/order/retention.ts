/** A day of 24 hours, whatever a time zone makes of it. */
const dayMs = 86_400_000;

/**
 * Orders are kept for a number of days from their `date_created` on. Those that were created before this time, in ms since 1970, have
 * expired. `now` is a time of the clock, in ms since 1970.
 */
export const expiryOf = (days: number, now: number): number => now - days * dayMs;
