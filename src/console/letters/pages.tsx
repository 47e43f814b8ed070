import { Html } from '@elysiajs/html';
import {
  type ChangeKind,
  Ended,
  Failed,
  ProgressLine,
  renderChange,
} from '../../../views/console/change.tsx';
import { CheckResult, LetterPage } from '../../../views/console/letter.tsx';
import { Letters } from '../../../views/console/letters.tsx';
import type { LetterFilter } from '../../../views/console/view.ts';
import { fill } from '../../../views/format.ts';
import type { Filter } from '../../dead-letters/filter.ts';
import { type Fix, toFix } from '../../dead-letters/fix.ts';
import { parseLetterAddress } from '../../dead-letters/letter.ts';
import { pageHeaders } from '../../http/html.ts';
import { readForm } from '../form.ts';
import { respondPage, viewFor } from '../page.ts';
import type { ConsoleRoute, Visit } from '../route.ts';
import { readListQuery, toFilter } from './query.ts';
import { streamChange } from './stream.ts';
import { isUnavailable, type LettersThread } from './thread.ts';

type Options = {
  letters: LettersThread;
  /** Whether an order is stored. */
  isStored: (uid: string) => Promise<boolean>;
};

const filterNames = ['stage', 'reason', 'field', 'since', 'until', 'uid', 'state'] as const;

/** Without what was left empty. */
const given = (texts: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ''));

const typedFilter = (read: (name: string) => string): LetterFilter =>
  Object.fromEntries(filterNames.map((name) => [name, read(name)])) as LetterFilter;

/** A text area's text has line breaks of its own kind. */
const withPlainBreaks = (text: string) => text.replaceAll('\r\n', '\n');

export const createLetterPages = ({ letters, isStored }: Options): ConsoleRoute[] => {
  const listPage = async (visit: Visit, read: (name: string) => string, problem?: string) => {
    const { request, operator, assets } = visit;
    const view = viewFor(request, operator);
    const typed = typedFilter(read);
    const query = readListQuery(new URLSearchParams(given({ ...typed, cursor: read('cursor') })));
    const filter = { ...typed, state: typed.state || 'open' };
    const render = (page: Parameters<typeof Letters>[0]['page'], error: string | undefined, status: number) =>
      respondPage(
        request,
        view,
        <Letters
          view={view}
          assets={assets}
          filter={filter}
          page={page}
          error={error}
          isLater={read('cursor') !== ''}
        />,
        status,
      );
    if ('invalid' in query)
      return render(undefined, fill(view.words.badFilter, { reason: query.invalid }), 400);
    try {
      const page = await letters.run('list', query);
      return render(page, problem, problem === undefined ? 200 : 400);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return render(undefined, view.words.lettersUnavailable, 503);
    }
  };

  const letterPage = async (visit: Visit, edited?: { text: string }) => {
    const { request, url, operator, assets } = visit;
    const view = viewFor(request, operator);
    const render = (props: Omit<Parameters<typeof LetterPage>[0], 'view' | 'assets'>, status: number) =>
      respondPage(request, view, <LetterPage view={view} assets={assets} {...props} />, status);
    const nothing = { letter: undefined, isStored: undefined, edited: undefined };
    const place = parseLetterAddress(url.searchParams.get('id') ?? '');
    if (!place) return render({ ...nothing, error: view.words.noSuchLetter }, 404);
    try {
      const letter = await letters.run('show', place);
      if (!letter) return render({ ...nothing, error: view.words.noSuchLetter }, 404);
      const stored = letter.uid === null ? undefined : await isStored(letter.uid).catch(() => undefined);
      const checked = edited && { ...edited, check: await letters.run('check', edited.text) };
      return render({ letter, isStored: stored, edited: checked, error: undefined }, 200);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return render({ ...nothing, error: view.words.lettersUnavailable }, 503);
    }
  };

  type Change = { kind: ChangeKind; filter: Filter; fix?: Fix | undefined; value?: string | undefined };

  const changePage = (
    { request, operator, assets, log }: Visit,
    { kind, filter, fix, value }: Change,
    back: Record<string, string>,
  ) => {
    const view = viewFor(request, operator);
    const [before, after] = renderChange(view, assets, kind, back);
    const isDry = kind === 'try';
    const stream = streamChange({
      run: (run) =>
        kind === 'redrive' || kind === 'try'
          ? letters.run('redrive', { filter, fix, value, isDry }, run)
          : letters.run('discard', { filter, undo: kind === 'restore', isDry }, run),
      isUnavailable,
      toText: {
        start: before,
        progress: (progress) => (<ProgressLine view={view} progress={progress} />) as string,
        end: (ending) =>
          ((ending.state === 'done' ? (
            <Ended view={view} kind={kind} back={back} outcome={ending.outcome} />
          ) : (
            <Failed view={view} back={back} counts={ending.counts} isUnavailable={ending.isUnavailable} />
          )) as string) + after,
      },
      audit: { operator, action: isDry ? 'redrive' : kind, isDry },
      log,
    });
    const headers = { ...pageHeaders, 'content-language': view.language, 'x-accel-buffering': 'no' };
    return new Response(stream, { headers });
  };

  return [
    {
      method: 'GET',
      path: '/console/dead-letters',
      answer: (visit) => listPage(visit, (name) => visit.url.searchParams.get(name) ?? ''),
    },
    {
      method: 'POST',
      path: '/console/dead-letters',
      async answer(visit) {
        const form = await readForm(visit.request);
        const { words } = viewFor(visit.request, visit.operator);
        const refuse = (problem: string) => listPage(visit, form.text, problem);
        const kind = kinds.find((one) => one === form.text('do'));
        if (!kind) return refuse(fill(words.notUnderstood, { reason: 'do' }));
        const isAll = form.text('scope') === 'all';
        const chosen = form.texts('letter');
        if (!isAll && chosen.length === 0) return refuse(words.noneSelected);
        const typed = typedFilter(form.text);
        const state = typed.state || 'open';
        if (state !== changes[kind] && (isAll || state !== 'all'))
          return refuse(fill(words.wrongState, { state: words.states[changes[kind]] }));
        const filter = toFilter(given(typed), isAll ? undefined : chosen);
        if ('invalid' in filter) return refuse(fill(words.badFilter, { reason: filter.invalid }));
        const fix = readFix(form.text('fix'));
        if (typeof fix === 'string') return refuse(fill(words.notUnderstood, { reason: fix }));
        return changePage(visit, { kind, filter, fix }, typed);
      },
    },
    { method: 'GET', path: '/console/letter', answer: (visit) => letterPage(visit) },
    {
      method: 'POST',
      path: '/console/letter',
      async answer(visit) {
        const address = visit.url.searchParams.get('id') ?? '';
        const form = await readForm(visit.request);
        const text = withPlainBreaks(form.text('value'));
        const action = form.text('do');
        if (action === 'check') return letterPage(visit, { text });
        const kind = action === 'edited' ? 'redrive' : kinds.find((one) => one === action);
        if (!kind || !parseLetterAddress(address)) return letterPage(visit);
        const value = action === 'edited' ? text : undefined;
        return changePage(visit, { kind, filter: { letters: new Set([address]) }, value }, {});
      },
    },
    {
      method: 'POST',
      path: '/console/check',
      async answer({ request, operator }) {
        const view = viewFor(request, operator);
        const form = await readForm(request);
        const check = await letters.run('check', withPlainBreaks(form.text('value')));
        return respondPage(request, view, <CheckResult view={view} check={check} />);
      },
    },
  ];
};

/** The letters that a change is for. It ignores others, so all that are listed are of this state. */
const changes = { redrive: 'open', try: 'open', discard: 'open', restore: 'discarded' } as const;
const kinds = Object.keys(changes) as ChangeKind[];

/** The patch of a form; undefined if there is none, or what is wrong with it. */
const readFix = (text: string): Fix | undefined | string => {
  if (text.trim() === '') return undefined;
  try {
    return toFix(JSON.parse(text), 'JSON Patch');
  } catch (error) {
    return (error as Error).message;
  }
};
