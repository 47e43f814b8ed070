import type { ConsoleAssets } from '../../views/console/layout.tsx';
import type { Operation } from '../http/contract.ts';
import type { Log } from '../observability/log.ts';

/** A request that was admitted. */
export type Visit = {
  request: Request;
  /** Path and query of the request. */
  url: URL;
  /** The operator's name. */
  operator: string;
  assets: ConsoleAssets;
  log: Log;
};

/** A route of the console. Its handler runs only for an operator. Those of the API have a contract, the pages have none. */
export type ConsoleRoute = {
  method: 'GET' | 'POST';
  path: `/console/${string}`;
  answer: (visit: Visit) => Response | Promise<Response>;
  operation?: Operation;
};
