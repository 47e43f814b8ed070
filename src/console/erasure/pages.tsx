import { Html } from '@elysiajs/html';
import { Erase } from '../../../views/console/erase.tsx';
import { fill } from '../../../views/format.ts';
import type { Erasures } from '../../postgres/erasures.ts';
import type { Invalid } from '../body.ts';
import { readForm } from '../form.ts';
import { respondPage, viewFor } from '../page.ts';
import type { ConsoleRoute, Visit } from '../route.ts';
import { createEraser, type Eraser, type Failure, maxOrders } from './eraser.ts';
import { toSelection, type Way, ways } from './selection.ts';

type Props = Omit<Parameters<typeof Erase>[0], 'view' | 'assets'>;

const statuses: Record<Failure['failed'], number> = {
  unavailable: 503,
  busy: 503,
  forbidden: 503,
  tooMany: 400,
  unconfirmed: 400,
  changed: 409,
};

/** Digits, however an operator groups them. */
const toCount = (typed: string) => (/\d/.test(typed) ? Number(typed.replace(/\D/g, '')) : undefined);

/** What was typed counts as it is. Spaces around it are left out only if nothing is found with them. */
const findTyped = async (eraser: Eraser, by: Way, typed: string) => {
  const find = async (which: string) => {
    const selection = toSelection(by, which);
    return { by, which, found: 'invalid' in selection ? selection : await eraser.find(selection) };
  };
  const exact = await find(typed);
  const isAnswer = 'failed' in exact.found || ('uids' in exact.found && exact.found.uids.length > 0);
  return isAnswer || typed === typed.trim() ? exact : find(typed.trim());
};

/** The page by which an operator erases orders: without JavaScript, and with no personal data in its address. */
export const createErasePages = (erasures: Erasures): ConsoleRoute[] => {
  const render = ({ request, operator, assets }: Visit, props: Props, status = 200) => {
    const view = viewFor(request, operator);
    return respondPage(request, view, <Erase view={view} assets={assets} {...props} />, status);
  };

  const renderFailure = (visit: Visit, typed: Props['typed'], { failed, erased, found }: Failure) => {
    const { words, format } = viewFor(visit.request, visit.operator);
    const error = fill(words.eraseFailed[failed], { max: format.number(maxOrders) });
    const before = erased > 0 ? `${format.count(words.eraseDone, erased)} ${words.eraseAgain} ` : '';
    return render(visit, { typed, found, error: `${before}${error}` }, statuses[failed]);
  };

  const renderInvalid = (visit: Visit, typed: Props['typed'], { invalid }: Invalid) => {
    const { words } = viewFor(visit.request, visit.operator);
    return render(visit, { typed, error: fill(words.notUnderstood, { reason: invalid }) }, 400);
  };

  return [
    {
      method: 'GET',
      path: '/console/erase',
      answer: (visit) => render(visit, { typed: { by: 'uids', which: '' } }),
    },
    {
      method: 'POST',
      path: '/console/erase',
      async answer(visit) {
        const { operator, log } = visit;
        const form = await readForm(visit.request);
        const by = ways.find((way) => way === form.text('by')) ?? 'uids';
        const which = form.text('which');
        const eraser = createEraser({ erasures, operator, log });
        if (form.text('do') !== 'erase') {
          const { found, ...typed } = await findTyped(eraser, by, which);
          if ('invalid' in found) return renderInvalid(visit, typed, found);
          return 'failed' in found ? renderFailure(visit, typed, found) : render(visit, { typed, found });
        }
        const typed = { by, which };
        const selection = toSelection(by, which);
        if ('invalid' in selection) return renderInvalid(visit, typed, selection);
        const confirmation = { count: toCount(form.text('count')), set: form.text('set') };
        const done = await eraser.erase(selection, confirmation);
        return 'failed' in done
          ? renderFailure(visit, typed, done)
          : render(visit, { typed: { by, which: '' }, done });
      },
    },
  ];
};
