import { Html } from '@elysiajs/html';
import { listStates, type Page } from '../../src/dead-letters/browse.ts';
import { letterStages } from '../../src/kafka/headers.ts';
import { closeBidi } from '../bidi.ts';
import { fill } from '../format.ts';
import { Exact } from '../parts.tsx';
import { literal } from '../view.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import { type CountsProps, LetterCounts } from './letter-counts.tsx';
import { Pager } from './pager.tsx';
import { Refusal } from './refusal.tsx';
import { type ConsoleView, type LetterFilter, pageLink } from './view.ts';

type LettersProps = {
  view: ConsoleView;
  assets: ConsoleAssets;
  filter: LetterFilter;
  /** Undefined: there is an error instead. */
  page: Page | undefined;
  error: string | undefined;
  /** The page is not the first. */
  isLater: boolean;
};

export const Letters = ({ view, assets, filter, page, error, isLater }: LettersProps) => {
  const { words, format } = view;
  return (
    <ConsoleLayout view={view} assets={assets} title={words.letters}>
      <p class="hint" safe>
        {words.lettersHint}
      </p>
      <FilterForm view={view} filter={filter} />
      <Refusal error={error} />
      {page === undefined ? null : page.counts.total === 0 ? (
        <div class="empty">
          <p class="lead" safe>
            {words.noLetters}
          </p>
          <p class="hint" safe>
            {words.noTopicAdvice}
          </p>
        </div>
      ) : (
        <>
          <h2 class="total" safe>
            {format.count(words.lettersFound, page.counts.total)}
          </h2>
          {page.counts.older === 0 ? null : (
            <p class="hint" safe>
              {fill(words.olderLetters, { count: format.number(page.counts.older) })}
            </p>
          )}
          <LetterCounts view={view} filter={filter} page={page} />
          <ChangeForm view={view} filter={filter} page={page} />
          <Pager view={view} page="dead-letters" query={filter} isLater={isLater} next={page.next} />
        </>
      )}
    </ConsoleLayout>
  );
};

const FilterForm = ({ view: { words }, filter }: { view: ConsoleView; filter: LetterFilter }) => (
  <search>
    <form method="get" action="dead-letters" class="filter">
      <label>
        <span safe>{words.stage}</span>
        <select name="stage">
          <option value="" safe>
            {words.any}
          </option>
          {letterStages.map((stage) => (
            <option value={stage} selected={filter.stage === stage} safe>
              {words.stages[stage]}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span safe>{words.reasonHas}</span>
        <input name="reason" value={literal(filter.reason)} maxlength="200" />
      </label>
      <label>
        <span safe>{words.faultyField}</span>
        <input name="field" class="code" value={literal(filter.field)} maxlength="200" autocomplete="off" />
      </label>
      <label>
        <span safe>{words.orderNumber}</span>
        <input name="uid" class="code" value={literal(filter.uid)} maxlength="200" autocomplete="off" />
      </label>
      <label>
        <span safe>{words.sentSince}</span>
        <input name="since" value={literal(filter.since)} placeholder={words.timeExample} />
      </label>
      <label>
        <span safe>{words.sentBefore}</span>
        <input name="until" value={literal(filter.until)} placeholder={words.timeExample} />
      </label>
      <label>
        <span safe>{words.whatBecame}</span>
        <select name="state">
          {listStates.map((state) => (
            <option value={state} selected={filter.state === state} safe>
              {words.states[state]}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" safe>
        {words.show}
      </button>
    </form>
  </search>
);

const ChangeForm = ({ view, filter, page }: CountsProps) => {
  const { words } = view;
  return (
    <form method="post" action="dead-letters" class="letters" enctype="multipart/form-data">
      {Object.entries(filter).map(([name, value]) => (
        <input type="hidden" name={name} value={literal(value)} />
      ))}
      <section class="scroll" tabindex="0" aria-label={words.letters}>
        <table class="list">
          <thead>
            <tr>
              <td></td>
              <th scope="col" safe>
                {words.letter}
              </th>
              <th scope="col" safe>
                {words.sent}
              </th>
              <th scope="col" class="wide" safe>
                {words.stage}
              </th>
              <th scope="col" class="wide" safe>
                {words.key}
              </th>
              <th scope="col" safe>
                {words.reason}
              </th>
            </tr>
          </thead>
          <tbody>
            {page.letters.map((row) => (
              <tr>
                <td>
                  {filter.state === 'redriven' ? null : (
                    <input
                      type="checkbox"
                      name="letter"
                      value={row.letter}
                      aria-label={fill(words.select, { letter: row.letter })}
                    />
                  )}
                </td>
                <th scope="row">
                  <a class="code" href={literal(pageLink('letter', { id: row.letter }))} safe>
                    {row.letter}
                  </a>
                </th>
                <td>
                  {row.time === null ? '—' : <Exact view={view} instant={row.time} written={row.time} />}
                </td>
                <td class="wide" safe>
                  {row.stage || '—'}
                </td>
                <td class="wide">
                  <bdi class="code" safe>
                    {row.key ?? '—'}
                  </bdi>
                </td>
                <td class="reason">
                  {row.state === 'open' ? null : (
                    <span class="badge" safe>
                      {words.states[row.state]}
                    </span>
                  )}
                  <bdi safe>{closeBidi(row.reason || '—')}</bdi>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {filter.state === 'redriven' ? null : <ChangeCard view={view} filter={filter} page={page} />}
    </form>
  );
};

/** Letters of one state are changed together; those that were sent again are not changed any more. */
const ChangeCard = ({ view: { words, format }, filter, page }: CountsProps) => (
  <section class="card change" aria-labelledby="change">
    <h2 id="change" safe>
      {words.change}
    </h2>
    <fieldset>
      <legend class="visually-hidden" safe>
        {words.scope}
      </legend>
      <label>
        <input type="radio" name="scope" value="selected" checked />
        <span safe>{words.selected}</span>
      </label>
      {filter.state === 'all' ? null : (
        <label>
          <input type="radio" name="scope" value="all" />
          <span safe>
            {fill(page.counts.older === 0 ? words.allMatching : words.allMatchingOlder, {
              count: format.number(page.counts.total),
            })}
          </span>
        </label>
      )}
    </fieldset>
    <label class="patch">
      <span safe>{words.patch}</span>
      <textarea name="fix" class="code" rows="2" spellcheck="false" placeholder={words.patchExample} />
    </label>
    <div class="buttons">
      {filter.state === 'discarded' ? (
        <button type="submit" name="do" value="restore" safe>
          {words.restore}
        </button>
      ) : (
        <>
          <button type="submit" name="do" value="try" class="secondary" safe>
            {words.tryOut}
          </button>
          <button type="submit" name="do" value="redrive" data-ask={words.askRedrive} safe>
            {words.redrive}
          </button>
          <button type="submit" name="do" value="discard" class="secondary" data-ask={words.askDiscard} safe>
            {words.discard}
          </button>
        </>
      )}
    </div>
  </section>
);
