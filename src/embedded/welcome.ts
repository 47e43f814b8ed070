import { sleep } from '../async/retry.ts';
import type { Store } from '../postgres/store.ts';
import type { Services } from './services.ts';

type Options = {
  url: string;
  services: Pick<Services, 'embedded'>;
  store: Pick<Store, 'newest'>;
  /** Whether fake orders are sent: then there is an order to show within seconds. */
  hasFakeOrders: boolean;
  stopping: AbortSignal;
  /** The token that opens the console on this machine; undefined if there is none. */
  consoleToken: string | undefined;
};

/** Who started Bun by npx may have no other Bun. */
const bun = process.execPath.includes('/_npx/') ? `npx --yes bun@${Bun.version}` : 'bun';

/** Prints the address of the page, the embedded services and an order to try, if there is one. */
export const welcome = async (options: Options): Promise<void> => {
  const { url, services, store, hasFakeOrders, stopping, consoleToken } = options;
  const [uid] = hasFakeOrders ? await firstOrders(store, stopping) : await store.newest(1).catch(() => []);
  if (stopping.aborted) return;
  const order =
    uid === undefined
      ? ''
      : `    an order      ${url}/?uid=${encodeURIComponent(uid)}
    as JSON       ${url}/order/${encodeURIComponent(uid)}
`;
  console.log(`
  Order Lookup is running.

    the page      ${url}
${order}    the API       ${url}/swagger
${consoleToken === undefined ? '' : `    the console   ${url}/console/login?token=${consoleToken}\n`}${services.embedded.map((service, index) => `    ${(index === 0 ? 'embedded' : '').padEnd(14)}${service}`).join('\n')}

  More orders: ${bun} run producer --rate 100 (in a second terminal). Ctrl-C stops everything.
`);
};

const firstOrders = async (store: Pick<Store, 'newest'>, stopping: AbortSignal) => {
  while (!stopping.aborted) {
    const uids = await store.newest(1).catch(() => []);
    if (uids.length > 0) return uids;
    await sleep(200, stopping);
  }
  return [];
};
