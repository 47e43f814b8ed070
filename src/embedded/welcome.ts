import { sleep } from '../async/retry.ts';
import type { Store } from '../postgres/store.ts';
import type { Services } from './services.ts';

type Options = {
  url: string;
  services: Pick<Services, 'embedded'>;
  store: Pick<Store, 'newest'>;
  stopping: AbortSignal;
  /** The token that opens the console on this machine; undefined if there is none. */
  consoleToken: string | undefined;
};

/** Who started Bun by npx may have no other Bun. */
const bun = process.execPath.includes('/_npx/') ? `npx --yes bun@${Bun.version}` : 'bun';

/** Prints the address of the page, the embedded services and an order to try, as soon as one is stored. */
export const welcome = async ({ url, services, store, stopping, consoleToken }: Options): Promise<void> => {
  const uid = await firstOrder(store, stopping);
  if (uid === undefined) return;
  console.log(`
  Order Lookup is running.

    the page      ${url}
    an order      ${url}/?uid=${encodeURIComponent(uid)}
    as JSON       ${url}/order/${encodeURIComponent(uid)}
    the API       ${url}/swagger
${consoleToken === undefined ? '' : `    the console   ${url}/console/login?token=${consoleToken}\n`}${services.embedded.map((service, index) => `    ${(index === 0 ? 'embedded' : '').padEnd(14)}${service}`).join('\n')}

  More orders: ${bun} run producer --rate 100 (in a second terminal). Ctrl-C stops everything.
`);
};

const firstOrder = async (store: Pick<Store, 'newest'>, stopping: AbortSignal) => {
  while (!stopping.aborted) {
    const [uid] = await store.newest(1).catch(() => []);
    if (uid !== undefined) return uid;
    await sleep(200, stopping);
  }
  return undefined;
};
