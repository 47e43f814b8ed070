import { parseRedisUrl, sentinelParameters } from '../lookup/redis-url.ts';
import { faultOfTrackPattern, trackPatternAllowed } from '../order/track-pattern.ts';
import { databaseParameters, parseDatabaseUrl } from '../postgres/url.ts';

/** The kinds of values: `allowed` says in words what is allowed, `read` parses it and returns undefined for anything else. */

export const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) => ({
  allowed: `an integer from ${minimum} to ${maximum}`,
  read: (text: string) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= minimum && value <= maximum ? value : undefined;
  },
});

export const oneOf = <const Values extends readonly string[]>(...values: Values) => ({
  allowed: values.join(', '),
  read: (text: string): Values[number] | undefined => values.find((value) => value === text),
});

export const flag = {
  allowed: 'true, false',
  read: (text: string) => (text === 'true' ? true : text === 'false' ? false : undefined),
};

export const share = {
  allowed: 'a share from 0 to 1, such as 0.1',
  read: (text: string) => (/^(0?\.\d+|[01](\.0*)?)$/.test(text) ? Number(text) : undefined),
};

export const text = { allowed: 'any text', read: (value: string) => value };

/** A URL's path without `.` and `..` segments. */
export const path = {
  allowed: 'a path such as /lookup: a-z, A-Z, 0-9, ".", "_", "~", "-" and "/", without "/" at the end',
  read: (value: string) => (/^(\/(?!\.{1,2}(\/|$))[\w.~-]+)*$/.test(value) ? value : undefined),
};

const tokenLength = 16;
/** A bearer token (RFC 6750): long enough that it cannot be guessed. */
export const token = {
  allowed: `${tokenLength} or more letters, digits and characters "-._~+/", "=" only at the end`,
  read: (value: string) => (value.length >= tokenLength && /^[\w.~+/-]+=*$/.test(value) ? value : undefined),
};

/** Operators, each with a token of its own. */
export const operators = {
  allowed: `name:token, or several separated by commas; a name has 1 to 32 of the characters a-z, A-Z, 0-9, "_" and "-"; a token has ${token.allowed}; no name and no token twice`,
  read: (value: string) => {
    const list = value.split(',').map((entry) => {
      const [, name = '', given = ''] = /^\s*([\w-]{1,32}):(\S+)\s*$/.exec(entry) ?? [];
      return { name, token: token.read(given) ?? '' };
    });
    const isDistinct = (key: 'name' | 'token') => new Set(list.map((one) => one[key])).size === list.length;
    const isValid = list.every((one) => one.token !== '') && isDistinct('name') && isDistinct('token');
    return isValid ? list : undefined;
  },
};

/** Some of several words, or none of them. */
export const someOf = <const Value extends string>(...values: Value[]) => ({
  allowed: `${values.join(', ')}, several of them separated by commas, or none`,
  read: (text: string): Set<Value> | undefined => {
    const list = text === 'none' ? [] : text.split(',').map((word) => word.trim());
    const known = values.filter((value) => list.includes(value));
    return known.length === new Set(list).size ? new Set(known) : undefined;
  },
});

/** Names of a `Host` header, in lower case. */
export const hostNames = {
  allowed: 'host names without ports, separated by commas; *.example.org: every name below it',
  read: (value: string) => {
    const names = value.split(',').map((name) => name.trim().toLowerCase());
    const isName = (name: string) => name.length <= 253 && /^(?:\*\.)?[\w-]+(?:\.[\w-]+)*$/.test(name);
    return names.every(isName) ? names : undefined;
  },
};

/** Values of a text field, as many as an operator may list; each has to fit its column. */
export const names = (maxLength: number) => ({
  allowed: `1 to 200 different values separated by commas, each of 1 to ${maxLength} of the characters a-z, A-Z, 0-9, ".", "_" and "-"`,
  read: (value: string) => {
    const list = value.split(',').map((name) => name.trim());
    const isName = (name: string) => name.length <= maxLength && /^[\w.-]+$/.test(name);
    return list.length <= 200 && new Set(list).size === list.length && list.every(isName) ? list : undefined;
  },
});

export const trackPattern = {
  allowed: trackPatternAllowed,
  read: (text: string) => (faultOfTrackPattern(text) === undefined ? text : undefined),
  fault: (text: string) => `which ${faultOfTrackPattern(text)}; allowed: ${trackPatternAllowed}`,
};

/** The name of a topic or group, by Kafka's rule for topics. */
export const kafkaName = {
  allowed: '1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-", but not "." or ".."',
  read: (value: string) => (/^(?!\.{1,2}$)[\w.-]{1,249}$/.test(value) ? value : undefined),
};

/** Null when the setting is unset. */
export const optional = <T>({
  allowed,
  read,
  fault = () => undefined,
}: {
  allowed: string;
  read: (text: string) => T | undefined;
  fault?: (text: string) => string | undefined;
}) => ({
  allowed,
  fault,
  default: '',
  read: (value: string): T | null | undefined => (value === '' ? null : read(value)),
});

export const brokers = {
  allowed: 'host:port, or several separated by commas',
  read: (value: string) => {
    const list = value.split(',').map((broker) => broker.trim());
    const isAddress = (broker: string) => {
      const [, port] = /^[^\s:/@]+:(\d{1,5})$/.exec(broker) ?? [];
      return Number(port) >= 1 && Number(port) <= 65_535;
    };
    return list.every(isAddress) ? list : undefined;
  },
};

export const url = (...protocols: string[]) => ({
  allowed: `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  read: (value: string) => (protocols.includes(URL.parse(value)?.protocol ?? '') ? value : undefined),
});

/**
 * The first parameter of a URL that is wrong, by its name: its value may be a secret, and so may a name before an @, where it is part
 * of a password. `known`: the parameters, and their values, or null for any.
 */
const faultOfParameters = (known: Record<string, readonly string[] | null>) => (value: string) => {
  const [, query] = /^[^?#]*\?([^@#]*)$/.exec(value) ?? [];
  for (const [name, given] of new URLSearchParams(query)) {
    const values = Object.hasOwn(known, name) ? known[name] : undefined;
    if (values?.includes(given) === false) return `with a wrong ${name}; allowed: ${values.join(', ')}`;
    if (values === undefined && /^\w{1,40}$/.test(name))
      return `with the parameter ${name}; allowed: ${Object.keys(known).join(', ')}`;
  }
  return undefined;
};

export const databaseUrl = {
  allowed:
    'postgres://user:password@host:port/database, several host:port separated by commas, and after a ? any of sslmode (disable, require, verify-ca, verify-full), target_session_attrs (as in libpq), application_name, options',
  read: (value: string) => (parseDatabaseUrl(value) ? value : undefined),
  fault: faultOfParameters(databaseParameters),
};

export const redisUrl = {
  allowed:
    'redis://user:password@host:port/database, redis-cluster://user:password@host:port,host:port or redis-sentinel://user:password@host:port,host:port/name/database?sentinel_username=…&sentinel_password=…; rediss… for TLS',
  read: (value: string) => (parseRedisUrl(value) ? value : undefined),
  fault: faultOfParameters(sentinelParameters),
};

export const halves = {
  allowed: 'http, consumer, or http,consumer',
  read: (value: string) => {
    const list = value.split(',').map((half) => half.trim());
    return list.every((half) => half === 'http' || half === 'consumer') ? new Set(list) : undefined;
  },
};
