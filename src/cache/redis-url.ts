export type RedisAddress = {
  /** The first servers to ask; the others of a cluster are learnt from them. */
  nodes: { host: string; port: number }[];
  isCluster: boolean;
  tls: boolean;
  username: string | undefined;
  password: string | undefined;
  database: number;
};

const pattern = /^(redis|rediss)(-cluster)?:\/\/(.+)$/;

/** Of `redis://…`, or `redis-cluster://…` with one host or several; undefined if it is neither. `rediss` is TLS. */
export const parseRedisUrl = (url: string): RedisAddress | undefined => {
  const [, scheme, cluster, rest = ''] = pattern.exec(url) ?? [];
  if (!scheme) return undefined;
  // The password may hold a comma; what stands after the last @ are hosts.
  const at = rest.lastIndexOf('@') + 1;
  const [first = '', ...more] = rest.slice(at).split(',');
  const main = URL.parse(`redis://${rest.slice(0, at)}${first}`);
  const others = more.map((host) => URL.parse(`redis://${host}`));
  const nodes = [main, ...others]
    .filter((node) => node !== null)
    // What follows a ? or # would not be heeded, such as an option of TLS; or it is half of a password.
    .filter(({ hostname, search, hash }) => hostname !== '' && search === '' && hash === '');
  const database = Number(main?.pathname.slice(1));
  if (!main || nodes.length <= more.length || !Number.isInteger(database)) return undefined;
  if (!cluster && nodes.length > 1) return undefined;
  const username = decode(main.username);
  const password = decode(main.password);
  if (username === undefined || password === undefined) return undefined;
  return {
    nodes: nodes.map(({ hostname, port }) => ({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 6379),
    })),
    isCluster: cluster !== undefined,
    tls: scheme === 'rediss',
    username: username || undefined,
    password: password || undefined,
    database,
  };
};

const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
};
