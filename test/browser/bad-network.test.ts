/** Random acts of a person while the network delays, fails, cuts off and reorders responses. */
import { expect } from 'bun:test';
import type { BrowserContext, Page, Route } from 'playwright-core';
import { disagreements } from '../support/agreement.ts';
import { buildOrder } from '../support/build-order.ts';
import { openChromium, test } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { createRandom } from '../support/random.ts';
import { until } from '../support/until.ts';

const visit = openChromium();

/**
 * `BAD_NETWORK_SEED` repeats the choices of a run; when responses arrive still differs a little. In CI they are always the same, so that
 * a failure is one of the change; by hand each run has others.
 */
const seed = Number(Bun.env.BAD_NETWORK_SEED ?? (Bun.env.CI ? 1 : Math.floor(Math.random() * 2 ** 31)));
const durationMs = Number(Bun.env.BAD_NETWORK_MS ?? 10_000);
const random = createRandom(seed);
const below = (limit: number) => Math.floor(random() * limit);
const oneOf = <Value>(values: readonly Value[]) => values[below(values.length)] as Value;

const uids = Array.from({ length: 4 }, (_, index) => `random-order-${index}`);
const orders = uids.map((order_uid) => buildOrder({ order_uid }));
const tooMany = Array.from({ length: 101 }, (_, index) => `many-orders-${index}`).join(' ');

const lookUp = (text: string) => `(() => {
  const field = document.querySelector('#uid');
  field.focus();
  field.value = ${JSON.stringify(text)};
  field.form.requestSubmit();
})()`;
const click = (selector: string, index = 0) =>
  `document.querySelectorAll(${JSON.stringify(selector)})[${index}]?.click()`;
/** Not to a page that would be loaded anew. */
const go = (by: number, act = `history.go(${by})`) =>
  `(() => { if (navigation.entries()[navigation.currentEntry.index + ${by}]?.sameDocument) { ${act} } })()`;

const acts: Record<string, () => string> = {
  'an order': () => lookUp(oneOf(uids)),
  'an order in quotes': () => lookUp(`«${oneOf(uids)}»`),
  'an order twice': () => lookUp(oneOf(uids)).repeat(2).replaceAll(')()(', ')();('),
  'an unknown number': () => lookUp('no-such-order'),
  'a list': () => lookUp(`${oneOf(uids)}, no-such-order, ${oneOf(uids)}`),
  'too many': () => lookUp(tooMany),
  Back: () => go(-1),
  'Back, Back': () => go(-2, 'history.back(); setTimeout(() => history.back(), 5);'),
  'two back': () => go(-2),
  Forward: () => go(1),
  'Back, Forward': () => go(-1, 'history.back(); setTimeout(() => history.forward(), 5);'),
  'a recent order': () => click('#recent a', below(4)),
  'a recent order twice': () => `${click('#recent a')}; ${click('#recent a')}`,
  'a link of the result': () => click('.rows a, [data-retry]', below(3)),
  'copy JSON': () => click('[data-copy-from]'),
  'the other theme': () => click('[data-setting=theme]'),
  'technical fields': () => click('details:not(.several) summary'),
  scroll: () => `scrollTo(0, ${below(1_000)})`,
};

const responses: Record<string, (route: Route) => Promise<void>> = {
  whole: (route) => route.continue(),
  '502': (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' }),
  '429': (route) => route.fulfill({ status: 429, contentType: 'application/problem+json', body: '{}' }),
  reset: (route) => route.abort('connectionreset'),
  'cut off': async (route) => {
    const response = await route.fetch();
    const text = await response.text();
    await route.fulfill({ response, body: text.slice(0, 0.7 * text.length) });
  },
};

const openNetwork = async (page: Page) => {
  const network = { isBad: true, pending: 0, log: [] as string[] };
  await page.route(/\/(?:\?uid=.*|order\/.*)?$/, async (route) => {
    if (!network.isBad || route.request().isNavigationRequest()) return route.continue();
    network.pending++;
    try {
      const what = oneOf(['whole', 'whole', ...Object.keys(responses)]);
      await Bun.sleep(oneOf([0, 1, 20, 100, 250]));
      network.log.push(`(${what})`);
      await responses[what]?.(route);
    } catch {
      // The page has given the request up.
    } finally {
      network.pending--;
    }
  });
  return network;
};

const setOffline = (context: BrowserContext, isOffline: boolean) => context.setOffline(isOffline);

test(`the page agrees with itself after random acts on a bad network, and in each entry of its history; seed ${seed}`, () =>
  visit({ orders, expected: /Failed to load resource|htmx:/ }, async ({ page, context }) => {
    const network = await openNetwork(page);
    const expectAgreement = async () => {
      await until(() => network.pending === 0);
      await eventually(() => page.evaluate(disagreements), []);
    };
    const entry = () =>
      page.evaluate<[number, string]>(`[navigation.currentEntry.index, location.search + location.hash]`);

    await page.goto('/');
    for (const end = Date.now() + durationMs; Date.now() < end; ) {
      Object.assign(network, { isBad: true, log: [] });
      try {
        for (let n = 2 + below(8); n > 0; n--) {
          const name = oneOf([...Object.keys(acts), 'offline or online']);
          network.log.push(name);
          if (name in acts) await page.evaluate(acts[name]?.() ?? '');
          else await setOffline(context, random() < 0.5);
          await Bun.sleep(oneOf([0, 0, 2, 10, 40, 200]));
        }
        network.isBad = false;
        await setOffline(context, false);
        await expectAgreement();
        let [index, address] = await entry();
        while (await page.evaluate(`navigation.entries()[${index} - 1]?.sameDocument === true`)) {
          network.log.push(`Back from ${address}`);
          await page.evaluate('history.back()');
          const before = address;
          await eventually(async () => (await entry())[0], index - 1);
          [index, address] = await entry();
          await expectAgreement();
          expect(address).not.toBe(before);
        }
      } catch (error) {
        throw new Error(`seed ${seed}, after ${network.log.join(' · ')}: ${(error as Error).message}`, {
          cause: error,
        });
      }
    }
  }));
