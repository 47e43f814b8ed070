import { parseArgs } from 'node:util';

/** Arguments of a command: options from a table, like the settings of `config.ts`, so that errors and help follow from it. */

export type Option<T> = {
  /** The value's name in the help. */
  value: string;
  /** What the option may hold, in words. */
  allowed: string;
  description: string;
  /** The value, or undefined if the text is not allowed. */
  read: (text: string) => T | undefined;
};

export const define = <T>(option: Option<T>) => option;

const decimal = (text: string, fits: (value: number) => boolean) => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return fits(value) ? value : undefined;
};

export const number = (allowed: string, fits: (value: number) => boolean) => ({
  allowed,
  read: (text: string) => decimal(text, fits),
});

export const integer = (minimum: number) =>
  number(
    `an integer from ${minimum} to ${Number.MAX_SAFE_INTEGER}`,
    (value) => Number.isSafeInteger(value) && value >= minimum,
  );

export const oneOf = <const Values extends readonly string[]>(...values: Values) => ({
  allowed: values.join(', '),
  read: (text: string): Values[number] | undefined => values.find((value) => value === text),
});

/** Options that have a value, and those without, each with its description. */
export type Table = { options: Record<string, Option<unknown>>; flags: Record<string, string> };

type Value<O> = O extends Option<infer T> ? T : never;
export type Given<T extends Table> = { [Name in keyof T['options']]?: Value<T['options'][Name]> } & {
  [Name in keyof T['flags']]?: true;
};

/**
 * The arguments as options, and in `rest` those that are none; or `help`, if that is asked for anywhere. Throws an Error
 * of one line for the first that is not allowed; `places` is how many arguments may be no option.
 */
export const readArguments = <T extends Table>(
  args: string[],
  table: T,
  places = 0,
): { given: Given<T>; rest: string[] } | 'help' => {
  const { options, flags } = table;
  const entries = (names: object, type: 'string' | 'boolean') =>
    Object.keys(names).map((name) => [name, { type, ...(name === 'help' && { short: 'h' }) }]);
  const { tokens } = parseArgs({
    args,
    options: Object.fromEntries([...entries(options, 'string'), ...entries(flags, 'boolean')]),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  if (tokens.some((token) => token.kind === 'option' && token.name === 'help')) return 'help';

  const given: Record<string, unknown> = {};
  const rest: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional' && rest.length < places) {
      rest.push(token.value);
      continue;
    }
    if (token.kind === 'option' && Object.hasOwn(flags, token.name) && token.value === undefined) {
      given[token.name] = true;
      continue;
    }
    if (token.kind !== 'option' || !Object.hasOwn(options, token.name)) {
      const all = [...Object.keys(options), ...Object.keys(flags)].map((name) => `--${name}`);
      throw new Error(`${JSON.stringify(args[token.index])} is not an option; these are: ${all.join(', ')}`);
    }
    const { read, allowed } = options[token.name] as Option<unknown>;
    const value = token.value === undefined ? undefined : read(token.value);
    if (value === undefined) {
      const holds = token.value === undefined ? 'has no value' : `holds ${JSON.stringify(token.value)}`;
      throw new Error(`--${token.name} ${holds}; allowed: ${allowed}`);
    }
    given[token.name] = value;
  }
  return { given: given as Given<T>, rest };
};

/** The options, one line each, as the help shows them. */
export const optionLines = ({ options, flags }: Table): string => {
  const rows = [
    ...Object.entries(options).map(
      ([name, { value, description }]) => [`--${name} ${value}`, description] as const,
    ),
    ...Object.entries(flags).map(([name, description]) => [`--${name}`, description] as const),
  ];
  const width = Math.max(...rows.map(([option]) => option.length));
  return rows.map(([option, meaning]) => `  ${option.padEnd(width)}  ${meaning}`).join('\n');
};
