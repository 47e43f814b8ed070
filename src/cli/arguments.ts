import { parseArgs } from 'node:util';

/** Arguments of a command, read by a table of options as settings are, so that errors and help follow from the table. */

type Option<T> = {
  /** The value's name in the help. */
  value: string;
  /** What the option may hold, in words. */
  allowed: string;
  description: string;
  /** The value, or undefined if the text is not allowed. */
  read: (text: string) => T | undefined;
};

export const define = <T>(option: Option<T>) => option;

/** Options with a value, and flags without one by their description. */
export type Table = { options: Record<string, Option<unknown>>; flags: Record<string, string> };

type Value<O> = O extends Option<infer T> ? T : never;
export type Given<T extends Table> = { [Name in keyof T['options']]?: Value<T['options'][Name]> } & {
  [Name in Exclude<keyof T['flags'], 'help'>]?: true;
};

/**
 * Options, each at most once, and positional arguments in `rest`, after `--` also those that begin with `-`; or `help` if `--help` or
 * `-h` is among them. Throws an Error of one line for the first argument that is not allowed, such as more than `maxPositionals`
 * positional ones.
 */
export const readArguments = <T extends Table>(
  args: string[],
  table: T,
  maxPositionals = 0,
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
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional' && rest.length < maxPositionals) {
      rest.push(token.value);
      continue;
    }
    if (token.kind === 'positional' && maxPositionals > 0)
      throw new Error(
        `${JSON.stringify(token.value)} is one argument too many; allowed: ${maxPositionals} beside the options`,
      );
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
    if (Object.hasOwn(given, token.name))
      throw new Error(`--${token.name} is given more than once; allowed: once`);
    given[token.name] = value;
  }
  return { given: given as Given<T>, rest };
};

/** The options for the help, one per line. */
export const optionLines = ({ options, flags }: Table): string => {
  const rows = [
    ...Object.entries(options).map(
      ([name, { value, description }]) => [`--${name} ${value}`, description] as const,
    ),
    ...Object.entries(flags).map(([name, description]) => [`--${name}`, description] as const),
  ];
  const width = Math.max(...rows.map(([option]) => option.length));
  return rows.map(([option, description]) => `  ${option.padEnd(width)}  ${description}`).join('\n');
};
