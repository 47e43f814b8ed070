/** A style sheet within a page, so that the first paint waits for no second request; and what a policy allows it by. */
export const createInlineStyle = (css: string) => {
  const text = css
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return { text, source: `'sha256-${new Bun.CryptoHasher('sha256').update(text).digest('base64')}'` };
};
