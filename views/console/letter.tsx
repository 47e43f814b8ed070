import { Html } from '@elysiajs/html';
import type { Check, Detail } from '../../src/dead-letters/detail.ts';
import { closeBidi } from '../bidi.ts';
import { fill } from '../format.ts';
import { Exact } from '../parts.tsx';
import { literal } from '../view.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import { Refusal } from './refusal.tsx';
import { type ConsoleView, pageLink } from './view.ts';

type LetterProps = {
  view: ConsoleView;
  assets: ConsoleAssets;
  /** Undefined: there is an error instead. */
  letter: Detail | undefined;
  error: string | undefined;
  /** Whether an order with the letter's number is stored; undefined if that is not known. */
  isStored: boolean | undefined;
  /** What was edited, and whether it is an order; undefined before that. */
  edited: { text: string; check: Check } | undefined;
};

/** One dead letter: where it came from, what has become of it, its value with the faults in place, and a form to send it again. */
export const LetterPage = ({ view, assets, letter, error, isStored, edited }: LetterProps) => (
  <ConsoleLayout
    view={view}
    assets={assets}
    title={`${view.words.letter}${letter ? ` ${letter.letter}` : ''}`}
  >
    <p>
      <a href="./dead-letters" safe>
        {view.words.backToLetters}
      </a>
    </p>
    <Refusal error={error} />
    {letter === undefined ? null : (
      <>
        <Facts view={view} letter={letter} isStored={isStored} />
        <Value view={view} letter={letter} />
        <Actions view={view} letter={letter} edited={edited} />
      </>
    )}
  </ConsoleLayout>
);

const became = { open: 'becameOpen', redriven: 'becameRedriven', discarded: 'becameDiscarded' } as const;

type FactsProps = { view: ConsoleView; letter: Detail; isStored: boolean | undefined };

const Facts = ({ view, letter, isStored }: FactsProps) => {
  const { words, format } = view;
  return (
    <section class="card" aria-label={words.letter}>
      <p>
        <span class={`badge ${letter.state}`} safe>
          {words.states[letter.state]}
        </span>{' '}
        <span safe>{words[became[letter.state]]}</span>
      </p>
      {letter.uid === null ? null : (
        <p class="related">
          {isStored === undefined ? null : <span safe>{isStored ? words.storedNow : words.notStored}</span>}{' '}
          {isStored ? (
            <a href={literal(`../?uid=${encodeURIComponent(letter.uid)}`)} safe>
              {words.openOrder}
            </a>
          ) : null}{' '}
          <a href={literal(pageLink('dead-letters', { uid: letter.uid, state: 'all' }))} safe>
            {words.sameNumber}
          </a>
        </p>
      )}
      <dl class="facts">
        <Fact name={words.stage} value={letter.stage} />
        <Fact name={words.reason} value={letter.reason} />
        <div>
          <dt safe>{words.sent}</dt>
          <dd>
            {letter.time === null ? '—' : <Exact view={view} instant={letter.time} written={letter.time} />}
          </dd>
        </div>
        <Fact name={words.from} value={letter.from?.replace(' of ', ` ${words.ofTopic} `) ?? null} />
        <Fact name={words.key} value={letter.key} isCode />
        {letter.redrives > 0 ? <Fact name={words.redrives} value={format.number(letter.redrives)} /> : null}
        <Fact
          name={words.size}
          value={letter.bytes === null ? words.noValue : format.count(words.bytes, letter.bytes)}
        />
        {letter.headers.map(({ name, value }) => (
          <Fact name={name} value={value} isCode />
        ))}
      </dl>
    </section>
  );
};

const Fact = ({ name, value, isCode }: { name: string; value: string | null; isCode?: boolean }) => (
  <div>
    <dt>
      <bdi safe>{name}</bdi>
    </dt>
    <dd>
      <bdi class={isCode ? 'code' : undefined} safe>
        {value || '—'}
      </bdi>
    </dd>
  </div>
);

const Value = ({ view: { words }, letter }: { view: ConsoleView; letter: Detail }) =>
  letter.bytes === null ? null : (
    <div class="card">
      <h2 safe>{words.valueNow}</h2>
      <section class="value code" tabindex="0" aria-label={words.valueNow}>
        <ol>
          {letter.lines.map(({ text, faults }) => (
            <li class={faults.length > 0 ? 'faulty' : undefined}>
              <bdi safe>{closeBidi(text)}</bdi>
              {faults.map((fault) => (
                <em>
                  <bdi safe>{closeBidi(fault)}</bdi>
                </em>
              ))}
            </li>
          ))}
        </ol>
      </section>
      {letter.isCut ? (
        <p class="note" safe>
          {fill(words.valueCut, { letter: letter.letter })}
        </p>
      ) : null}
    </div>
  );

type ActionsProps = { view: ConsoleView; letter: Detail; edited: LetterProps['edited'] };

const Actions = ({ view, letter, edited }: ActionsProps) => {
  const { words } = view;
  if (letter.state === 'redriven') return null;
  const text = edited?.text ?? letter.text;
  return (
    <form
      method="post"
      action={literal(pageLink('letter', { id: letter.letter }))}
      enctype="multipart/form-data"
      class="card edit"
      aria-labelledby="edit"
    >
      <h2 id="edit" safe>
        {words.edit}
      </h2>
      {letter.state === 'discarded' ? null : text === null ? (
        <p class="hint" safe>
          {words.notEditable}
        </p>
      ) : (
        <>
          <p class="hint" id="edit-hint" safe>
            {words.editHint}
          </p>
          <textarea
            name="value"
            class="code"
            rows="18"
            spellcheck="false"
            aria-label={words.valueNow}
            aria-describedby="edit-hint check"
            hx-post="./check"
            hx-trigger="input delay:300ms"
            hx-target="#check"
            hx-encoding="multipart/form-data"
            hx-sync="this:replace"
            safe
          >
            {`\n${text}`}
          </textarea>
          <div id="check" role="status">
            <CheckResult view={view} check={edited?.check ?? letter.check} />
          </div>
          <template id="check-failed">
            <p class="invalid" safe>
              {words.checkFailed}
            </p>
          </template>
        </>
      )}
      <div class="buttons">
        {letter.state === 'discarded' ? (
          <button type="submit" name="do" value="restore" safe>
            {words.restore}
          </button>
        ) : (
          <>
            {text === null ? null : (
              <>
                <button type="submit" name="do" value="check" class="secondary" safe>
                  {words.check}
                </button>
                <button type="submit" name="do" value="edited" safe>
                  {words.sendEdited}
                </button>
              </>
            )}
            <button type="submit" name="do" value="redrive" class="secondary" safe>
              {words.sendAsIs}
            </button>
            <button
              type="submit"
              name="do"
              value="discard"
              class="secondary"
              data-ask={words.askDiscard}
              safe
            >
              {words.discard}
            </button>
          </>
        )}
      </div>
    </form>
  );
};

/** What is wrong with the value as it is edited, if anything. */
export const CheckResult = ({ view: { words }, check }: { view: ConsoleView; check: Check }) =>
  check.isValid ? (
    <p class="valid" safe>
      {words.checkValid}
    </p>
  ) : (
    <>
      <p class="invalid" safe>
        {words.checkInvalid}
      </p>
      <ul class="faults">
        {check.faults.map((fault) => (
          <li>
            <bdi safe>{closeBidi(fault)}</bdi>
          </li>
        ))}
      </ul>
    </>
  );
