import { Html } from '@elysiajs/html';
import type { Count, Page } from '../../src/dead-letters/browse.ts';
import { closeBidi } from '../bidi.ts';
import { literal } from '../view.ts';
import { type ConsoleView, type LetterFilter, pageLink } from './view.ts';

export type CountsProps = { view: ConsoleView; filter: LetterFilter; page: Page };

const ages: Record<string, { since?: string; until?: string }> = {
  hour: { since: '1h', until: '' },
  day: { since: '24h', until: '1h' },
  week: { since: '7d', until: '24h' },
  older: { since: '', until: '7d' },
};

/** How many letters match, by stage, faulty field and age, each a link to them. */
export const LetterCounts = ({ view, filter, page: { counts } }: CountsProps) => {
  const { words } = view;
  return (
    <div class="counts">
      <CountList
        view={view}
        title={words.byStage}
        counts={counts.stages}
        href={(stage) =>
          Object.hasOwn(words.stages, stage) ? pageLink('dead-letters', { ...filter, stage }) : undefined
        }
      />
      <CountList
        view={view}
        title={words.byField}
        counts={counts.fields}
        href={(field) => pageLink('dead-letters', { ...filter, field })}
      />
      <CountList
        view={view}
        title={words.byAge}
        counts={counts.ages}
        names={words.ages}
        href={(age) => pageLink('dead-letters', { ...filter, ...ages[age] })}
      />
    </div>
  );
};

type Names = Record<string, string>;
type CountItemsProps = {
  format: ConsoleView['format'];
  counts: readonly Count[];
  names?: Names;
  /** Undefined: there is no filter for it, such as for letters of other programs, without a stage. */
  href: (name: string) => string | undefined;
};
type CountListProps = Omit<CountItemsProps, 'format'> & { view: ConsoleView; title: string };

const shownCounts = 6;

const CountList = ({ view: { format, words }, title, counts, names = {}, href }: CountListProps) =>
  counts.length === 0 ? null : (
    <section>
      <h3 safe>{title}</h3>
      <CountItems format={format} counts={counts.slice(0, shownCounts)} names={names} href={href} />
      {counts.length > shownCounts ? (
        <details>
          <summary safe>{format.count(words.moreCounts, counts.length - shownCounts)}</summary>
          <CountItems format={format} counts={counts.slice(shownCounts)} names={names} href={href} />
        </details>
      ) : null}
    </section>
  );

const CountItems = ({ format, counts, names = {}, href }: CountItemsProps) => (
  <ul>
    {counts.map(({ name, count }) => {
      const link = href(name);
      const text = <bdi safe>{closeBidi(names[name] ?? name)}</bdi>;
      return (
        <li>
          {link === undefined ? text : <a href={literal(link)}>{text}</a>}{' '}
          <span class="count" safe>
            {format.number(count)}
          </span>
        </li>
      );
    })}
  </ul>
);
