/** Something that has happened and is to be known for `lasting` ms. `changed` is called when it comes and when it goes. */
export const createNotice = (lasting: number, changed: () => void) => {
  let text: string | undefined;
  let timer: Timer | undefined;
  return {
    raise(what: string) {
      clearTimeout(timer);
      text = what;
      timer = setTimeout(() => {
        text = undefined;
        changed();
      }, lasting);
      changed();
    },
    text: () => text,
    stop: () => clearTimeout(timer),
  };
};
