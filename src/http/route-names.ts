export const lookupRoute = '/order/:uid';
export const noRoute = 'other';

/** Few names for all the addresses that there are, by the router's `paths`; none has the number of an order. */
export const createRouteNames =
  (paths: ReadonlySet<string>) =>
  (url: string): string => {
    // A request may come without a host, and then its URL is none.
    const pathname = URL.parse(url)?.pathname ?? '';
    if (paths.has(pathname)) return pathname.startsWith('/assets/') ? '/assets/*' : pathname;
    return pathname.startsWith('/order/') ? lookupRoute : noRoute;
  };
