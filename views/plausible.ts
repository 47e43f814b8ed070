/** How far clocks and time zones may differ. */
const toleranceMs = 86_400_000;

/** `seconds` of Unix time; undefined if it is in the future, as a time that was sent in ms is. */
export const plausibleTime = (seconds: number, now: Date): Date | undefined => {
  const ms = seconds * 1000;
  return ms <= now.getTime() + toleranceMs ? new Date(ms) : undefined;
};
