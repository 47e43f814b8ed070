import { Html } from '@elysiajs/html';
import type { ChangeOutcome, Progress } from '../../src/dead-letters/operations.ts';
import { closeBidi } from '../bidi.ts';
import { fill } from '../format.ts';
import { literal } from '../view.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import { type ConsoleView, pageLink } from './view.ts';

export type ChangeKind = 'redrive' | 'try' | 'discard' | 'restore';

/** Where the page is split: what comes after it is sent when the change has ended. */
const split = '<!-- progress -->';
const progressEnd = '</ol></section>';

/** The page of a change, in two parts: until the progress, and after the outcome. */
export const renderChange = (
  view: ConsoleView,
  assets: ConsoleAssets,
  kind: ChangeKind,
  back: Record<string, string>,
): [before: string, after: string] => {
  const { words } = view;
  const page = (
    <ConsoleLayout view={view} assets={assets} title={words.running[kind]}>
      <p class="hint stopping">
        <span safe>{words.stopHint}</span>{' '}
        <a class="button" href={literal(pageLink('dead-letters', back))} safe>
          {words.stop}
        </a>
      </p>
      <section class="progress" role="log" tabindex="0" aria-label={words.running[kind]}>
        <ol>{split}</ol>
      </section>
    </ConsoleLayout>
  ) as string;
  const [before = '', after = ''] = page.split(split);
  return [before, after.replace(progressEnd, '')];
};

const numbers = ({ format }: ConsoleView, { done, skipped }: Progress) => ({
  done: format.number(done),
  skipped: format.number(skipped),
});

/** One line, each second. */
export const ProgressLine = ({ view, progress }: { view: ConsoleView; progress: Progress }) => (
  <li safe>
    {fill(view.words.progress, {
      read: `${Math.floor(progress.read * 100)} %`,
      ...numbers(view, progress),
    })}
  </li>
);

type EndProps = { view: ConsoleView; kind: ChangeKind; back: Record<string, string> };

/** How it ended. The list of the progress is open before it. */
export const Ended = ({ view, kind, back, outcome }: EndProps & { outcome: ChangeOutcome }) => (
  <>
    {progressEnd}
    <p class="outcome" role="status" safe>
      {fill(view.words.ended[kind], numbers(view, outcome))}
    </p>
    {outcome.skippedLetters.length === 0 ? null : (
      <section class="card" aria-labelledby="skipped">
        <h2 id="skipped" safe>
          {view.words.skippedLetters}
        </h2>
        <ul class="skipped">
          {outcome.skippedLetters.map(({ letter, reason }) => (
            <li>
              <a class="code" href={literal(pageLink('letter', { id: letter }))} safe>
                {letter}
              </a>{' '}
              <bdi safe>{closeBidi(reason)}</bdi>
            </li>
          ))}
        </ul>
      </section>
    )}
    <Back view={view} back={back} />
  </>
);

export const Failed = ({
  view,
  back,
  counts,
  isUnavailable,
}: Omit<EndProps, 'kind'> & { counts: Progress; isUnavailable: boolean }) => (
  <>
    {progressEnd}
    <p class="error" role="alert">
      {isUnavailable ? <span safe>{view.words.lettersUnavailable}</span> : null}{' '}
      <span safe>{fill(view.words.failedAfter, numbers(view, counts))}</span>
    </p>
    <Back view={view} back={back} />
  </>
);

const Back = ({ view: { words }, back }: Pick<EndProps, 'view' | 'back'>) => (
  <p>
    <a href={literal(pageLink('dead-letters', back))} safe>
      {words.backToLetters}
    </a>
  </p>
);
