/** A text that is shown for `durationMs` after it was raised. `changed` is called when it appears and when it expires. */
export const createNotice = (durationMs: number, changed: () => void) => {
  let text: string | undefined;
  let timer: Timer | undefined;
  return {
    raise(raised: string) {
      clearTimeout(timer);
      text = raised;
      timer = setTimeout(() => {
        text = undefined;
        changed();
      }, durationMs);
      changed();
    },
    text: () => text,
    stop: () => clearTimeout(timer),
  };
};
