import { pathOf } from './target.ts';

export const lookupRoute = '/order/:uid';
export const noRoute = 'other';

/** Asked by an orchestrator or a balancer, at its own pace and by whatever name it likes. */
export const isProbe = (path: string) => path === '/healthz' || path === '/readyz';

/** Few names for all the addresses that there are, by the router's `paths`; none has the number of an order. */
export const createRouteNames =
  (paths: ReadonlySet<string>) =>
  (url: string): string => {
    const pathname = pathOf(url);
    if (paths.has(pathname)) return pathname.startsWith('/assets/') ? '/assets/*' : pathname;
    return pathname.startsWith('/order/') ? lookupRoute : noRoute;
  };
