import { toFix } from '../../dead-letters/fix.ts';
import { parseLetterAddress } from '../../dead-letters/letter.ts';
import { toProblem } from '../../http/problem.ts';
import { noStoreHeaders } from '../../http/security-headers.ts';
import { readBody } from '../body.ts';
import { badRequest } from '../problems.ts';
import type { ConsoleRoute, Visit } from '../route.ts';
import {
  discardOperation,
  line,
  listOperation,
  redriveOperation,
  showOperation,
  unavailable,
  unknown,
} from './contract.ts';
import { DiscardSchema, RedriveSchema, readListQuery, toFilter } from './query.ts';
import { type Ending, streamChange } from './stream.ts';
import { isUnavailable, type LettersThread } from './thread.ts';

/** As `answer`, with a problem while Kafka does not answer. */
const orUnavailable = async (request: Request, answer: () => Promise<Response>): Promise<Response> => {
  try {
    return await answer();
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    return toProblem(request, unavailable, { 'retry-after': '5' });
  }
};

const json = (value: unknown) => Response.json(value, { headers: noStoreHeaders });

const toLines = {
  start: '',
  progress: line,
  end: (ending: Ending) => {
    if (ending.state === 'failed')
      return line({ state: 'failed', ...ending.counts, detail: unavailable.detail });
    const { skippedLetters, ...counts } = ending.outcome;
    return line({ state: 'done', ...counts, skippedLetters });
  },
};

/** The API of dead letters. */
export const createLettersApi = (letters: LettersThread): ConsoleRoute[] => {
  const change = (
    { operator, log }: Visit,
    action: string,
    isDry: boolean,
    run: Parameters<typeof streamChange>[0]['run'],
  ) => {
    const audit = { operator, action, isDry };
    const stream = streamChange({ run, isUnavailable, toText: toLines, audit, log });
    return new Response(stream, {
      headers: { ...noStoreHeaders, 'content-type': 'application/x-ndjson', 'x-accel-buffering': 'no' },
    });
  };

  return [
    {
      method: 'GET',
      path: '/console/api/dead-letters',
      answer: ({ request, url }) =>
        orUnavailable(request, async () => {
          const query = readListQuery(url.searchParams);
          if ('invalid' in query) return toProblem(request, badRequest(query.invalid));
          return json(await letters.run('list', query));
        }),
      operation: listOperation,
    },
    {
      method: 'GET',
      path: '/console/api/dead-letters/letter',
      answer: ({ request, url }) =>
        orUnavailable(request, async () => {
          const place = parseLetterAddress(url.searchParams.get('letter') ?? '');
          if (!place)
            return toProblem(
              request,
              badRequest('letter is not allowed; allowed: PARTITION/OFFSET, such as 3/17.'),
            );
          const found = await letters.run('show', place);
          return found ? json(found) : toProblem(request, unknown);
        }),
      operation: showOperation,
    },
    {
      method: 'POST',
      path: '/console/api/dead-letters/redrive',
      async answer(visit) {
        const { request } = visit;
        const body = readBody(RedriveSchema, await request.text());
        if ('invalid' in body) return toProblem(request, badRequest(body.invalid));
        const { letters: chosen, value, dryRun: isDry = false } = body;
        const invalid = invalidSelection(body) ?? invalidChange(body);
        if (invalid) return toProblem(request, badRequest(invalid));
        const filter = toFilter(body.filter ?? {}, chosen);
        if ('invalid' in filter) return toProblem(request, badRequest(filter.invalid));
        const fix = body.fix && toFix(body.fix, 'fix');
        return change(visit, 'redrive', isDry, (run) =>
          letters.run('redrive', { filter, fix, value, isDry }, run),
        );
      },
      operation: redriveOperation,
    },
    {
      method: 'POST',
      path: '/console/api/dead-letters/discard',
      async answer(visit) {
        const { request } = visit;
        const body = readBody(DiscardSchema, await request.text());
        if ('invalid' in body) return toProblem(request, badRequest(body.invalid));
        const invalid = invalidSelection(body);
        if (invalid) return toProblem(request, badRequest(invalid));
        const filter = toFilter(body.filter ?? {}, body.letters);
        if ('invalid' in filter) return toProblem(request, badRequest(filter.invalid));
        const { undo = false, dryRun: isDry = false } = body;
        return change(visit, undo ? 'restore' : 'discard', isDry, (run) =>
          letters.run('discard', { filter, undo, isDry }, run),
        );
      },
      operation: discardOperation,
    },
  ];
};

const invalidSelection = ({ filter, letters }: { filter?: object; letters?: string[] }) =>
  filter === undefined && letters === undefined
    ? 'The body names no letters: "filter" or "letters" is needed; the filter {} is all letters.'
    : undefined;

const invalidChange = ({ letters, fix, value }: { letters?: string[]; fix?: object[]; value?: string }) => {
  if (value !== undefined && (letters?.length !== 1 || fix !== undefined))
    return '"value" needs one letter in "letters", and no "fix".';
  try {
    if (fix) toFix(fix, 'fix');
    return undefined;
  } catch (error) {
    return `${(error as Error).message}.`;
  }
};
