export type RedisAddress = {
  /** Redis itself, some nodes of a cluster, or Sentinels. */
  nodes: { host: string; port: number }[];
  isCluster: boolean;
  /** Set when the nodes are Sentinels: the name they know the primary by, and how to log in to them. */
  sentinel: { name: string; username: string | undefined; password: string | undefined } | undefined;
  tls: boolean;
  username: string | undefined;
  password: string | undefined;
  database: number;
};

const pattern = /^(rediss?)(?:-(cluster|sentinel))?:\/\/(.+)$/;
/** The parameters of a URL, which only one of Sentinels has; null: any text. */
export const sentinelParameters = { sentinel_username: null, sentinel_password: null };

const ports = { redis: 6379, sentinel: 26379 };

/**
 * Parses `redis://…`, `redis-cluster://…` with one host or more, and `redis-sentinel://…/name/database` with the hosts of Sentinels;
 * undefined for anything else. `rediss` is TLS. Username and password are those of Redis.
 */
export const parseRedisUrl = (url: string): RedisAddress | undefined => {
  const [, scheme, kind, rest = ''] = pattern.exec(url) ?? [];
  if (!scheme) return undefined;
  // The password may hold a comma, so the hosts begin after the last @.
  const at = rest.lastIndexOf('@') + 1;
  // The path follows the last host.
  const [, hosts = '', tail = ''] = /^([^/?#]*)(.*)$/.exec(rest.slice(at)) ?? [];
  const [first = '', ...more] = hosts.split(',');
  const main = URL.parse(`redis://${rest.slice(0, at)}${first}${tail}`);
  const nodes = [main, ...more.map((host) => URL.parse(`redis://${host}`))].filter(
    (node) => node !== null && node.hostname !== '',
  ) as URL[];
  if (!main || nodes.length <= more.length || main.hash || (kind === undefined && more.length > 0))
    return undefined;
  try {
    const decoded = (text: string) => decodeURIComponent(text) || undefined;
    const isSentinel = kind === 'sentinel';
    const path = main.pathname.split('/').slice(1).map(decoded);
    const name = isSentinel ? path.shift() : undefined;
    if (isSentinel && !name) return undefined;
    const { sentinel_username, sentinel_password, ...unsupported } = Object.fromEntries(main.searchParams);
    if (Object.keys(unsupported).length > 0) return undefined;
    if (!isSentinel && main.search !== '') return undefined;
    const [index = '0', ...beyond] = path;
    if (!/^\d+$/.test(index) || beyond.length > 0) return undefined;
    if (kind === 'cluster' && index !== '0') return undefined;
    return {
      nodes: nodes.map(({ hostname, port }) => ({
        host: hostname.replace(/^\[|\]$/g, ''),
        port: Number(port || (isSentinel ? ports.sentinel : ports.redis)),
      })),
      isCluster: kind === 'cluster',
      sentinel:
        name === undefined ? undefined : { name, username: sentinel_username, password: sentinel_password },
      tls: scheme === 'rediss',
      username: decoded(main.username),
      password: decoded(main.password),
      database: Number(index),
    };
  } catch {
    return undefined;
  }
};
