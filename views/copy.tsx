import { Html } from '@elysiajs/html';
import { literal } from './view.ts';

/** What is copied: `copy`, this text; `from`, the JSON at this address; `link`, this address as a whole one. */
type What = { copy: string } | { from: string } | { link: string };

const toAttributes = (what: What) => {
  if ('copy' in what) return { 'data-copy': literal(what.copy) };
  return 'from' in what ? { 'data-copy-from': literal(what.from) } : { 'data-copy-link': literal(what.link) };
};

/** A button with words that copies. The page's script makes it work. */
export const CopyButton = ({ words, ...what }: { words: string } & What) => (
  <button type="button" class="quiet needs-script" {...toAttributes(what as What)}>
    <span safe>{words}</span>
  </button>
);

/** The same as an icon, beside what it copies. */
export const CopyIcon = ({ words, ...what }: { words: string } & What) => (
  <button type="button" class="quiet icon needs-script" {...toAttributes(what as What)}>
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <path d="M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z" />
    </svg>
    <span class="visually-hidden" safe>
      {words}
    </span>
  </button>
);
