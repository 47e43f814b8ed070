import { Html } from '@elysiajs/html';
import { fill } from '../format.ts';
import { literal } from '../view.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import { Refusal } from './refusal.tsx';
import type { Words } from './text.ts';
import type { ConsoleView } from './view.ts';

/** As an operator has typed it. */
type Typed = { by: keyof Words['eraseWays']; which: string };

/** `uids`: to erase, or only to mark where they are not stored. `set` identifies them. */
type Found = { uids: readonly string[]; stored: readonly string[]; set: string };

type EraseProps = {
  view: ConsoleView;
  assets: ConsoleAssets;
  typed: Typed;
  /** What would be erased. */
  found?: Found | undefined;
  /** What was erased. */
  done?: { erased: number; marked: number };
  error?: string;
};

export const Erase = ({ view, assets, typed, found, done, error }: EraseProps) => {
  const { words, format } = view;
  return (
    <ConsoleLayout view={view} assets={assets} title={words.erase}>
      <p class="hint" safe>
        {words.eraseHint}
      </p>
      <Refusal error={error} />
      {done === undefined ? null : (
        <p class="outcome" role="status">
          <span safe>{format.count(words.eraseDone, done.erased)}</span>{' '}
          {done.marked === 0 ? null : <span safe>{format.count(words.eraseMarked, done.marked)}</span>}{' '}
          <span safe>{words.eraseForgotten}</span>
        </p>
      )}
      <Which view={view} typed={typed} />
      {found === undefined ? null : <Confirm view={view} typed={typed} found={found} />}
    </ConsoleLayout>
  );
};

const Which = ({ view: { words }, typed }: { view: ConsoleView; typed: Typed }) => (
  <form method="post" action="erase" class="card change" enctype="multipart/form-data">
    <label class="patch">
      <span safe>{words.eraseBy}</span>
      <select name="by">
        {Object.entries(words.eraseWays).map(([way, name]) => (
          <option value={way} selected={way === typed.by} safe>
            {name}
          </option>
        ))}
      </select>
    </label>
    <label class="patch">
      <span safe>{words.eraseWhich}</span>
      <textarea name="which" class="code" rows="3" spellcheck="false" required safe>
        {typed.which}
      </textarea>
    </label>
    <div class="buttons">
      <button type="submit" name="do" value="find" class="secondary" safe>
        {words.eraseFind}
      </button>
    </div>
  </form>
);

const shownOrders = 50;

const Confirm = ({ view, typed, found }: { view: ConsoleView; typed: Typed; found: Found }) => {
  const { words, format } = view;
  const { uids, stored, set } = found;
  if (uids.length === 0)
    return (
      <p class="outcome" role="status" safe>
        {words.eraseNothing}
      </p>
    );
  const more = stored.length - shownOrders;
  const notStored = uids.length - stored.length;
  return (
    <form method="post" action="erase" class="card change" enctype="multipart/form-data">
      <h2 safe>{format.count(words.eraseFound, stored.length)}</h2>
      {notStored === 0 ? null : <p safe>{format.count(words.eraseNotStored, notStored)}</p>}
      <ul>
        {stored.slice(0, shownOrders).map((uid) => (
          <li>
            <a href={literal(`../?uid=${encodeURIComponent(uid)}`)}>
              <bdi class="code" safe>
                {uid}
              </bdi>
            </a>
          </li>
        ))}
      </ul>
      {more > 0 ? <p safe>{fill(words.eraseMore, { n: format.number(more) })}</p> : null}
      <input type="hidden" name="by" value={typed.by} />
      <input type="hidden" name="which" value={literal(typed.which)} />
      <input type="hidden" name="set" value={set} />
      <label class="patch">
        <span safe>{fill(words.eraseConfirm, { n: format.number(uids.length) })}</span>
        <input name="count" class="code" inputmode="numeric" autocomplete="off" required />
      </label>
      <div class="buttons">
        <button type="submit" name="do" value="erase" safe>
          {words.eraseNow}
        </button>
      </div>
    </form>
  );
};
