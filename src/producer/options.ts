import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';

type Option<T> = {
  /** The value's name in the help. */
  value: string;
  /** What the option may hold, in words. */
  allowed: string;
  meaning: string;
  /** The value, or undefined if the text is not allowed. */
  read: (text: string) => T | undefined;
};

const define = <T>(option: Option<T>) => option;

const decimal = (text: string, fits: (value: number) => boolean) => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return fits(value) ? value : undefined;
};
const integer = (minimum: number) => ({
  allowed: `an integer from ${minimum} to ${Number.MAX_SAFE_INTEGER}`,
  read: (text: string) => decimal(text, (value) => Number.isSafeInteger(value) && value >= minimum),
});

export const options = {
  rate: define({
    value: 'N',
    allowed: 'a number from 0.001 to 1000000, or 0 for no limit',
    meaning: 'orders a second; 0: as many as Kafka takes. 1 unless given, with --file 0',
    read: (text) => decimal(text, (value) => value === 0 || (value >= 0.001 && value <= 1_000_000)),
  }),
  count: define({ value: 'N', ...integer(1), meaning: 'stop after so many; otherwise on Ctrl-C' }),
  seed: define({ value: 'N', ...integer(0), meaning: 'make the same orders each time' }),
  invalid: define({
    value: 'SHARE',
    allowed: 'a share from 0 to 1, such as 0.1',
    meaning: 'share of messages that are bad on purpose, of every kind',
    read: (text) => decimal(text, (value) => value >= 0 && value <= 1),
  }),
  file: define({
    value: 'PATH',
    allowed: 'the path of a file',
    meaning: 'send the lines of this NDJSON file, or the one JSON document in it, as they are',
    read: (text) => (statSync(text, { throwIfNoEntry: false })?.isFile() ? text : undefined),
  }),
};

/** Options without a value, with their meaning. */
const flags = { quiet: 'say nothing, except that Kafka is away or refuses', help: 'show this' };

type Value<O> = O extends Option<infer T> ? T : never;
export type Options = { [Name in keyof typeof options]?: Value<(typeof options)[Name]> } & { quiet?: true };

const names = Object.keys(options) as (keyof typeof options)[];
const all = [...names, ...Object.keys(flags)].map((name) => `--${name}`);
/** These shape orders that are made; a file's are sent as they are. */
const onlyForMade = ['seed', 'invalid'] as const;

/** The command line as options, or `help`. Throws an Error of one line for the first argument that is not allowed. */
export const readOptions = (args: string[]): Options | 'help' => {
  const { tokens } = parseArgs({
    args,
    options: {
      help: { type: 'boolean', short: 'h' },
      quiet: { type: 'boolean' },
      ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
    },
    strict: false,
    tokens: true,
  });
  if (tokens.some((token) => token.kind === 'option' && token.name === 'help')) return 'help';

  const given: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === 'option' && token.name === 'quiet' && token.value === undefined) {
      given.quiet = true;
      continue;
    }
    const name = names.find((known) => token.kind === 'option' && token.name === known);
    if (!name || token.kind !== 'option') {
      throw new Error(`${JSON.stringify(args[token.index])} is not an option; these are: ${all.join(', ')}`);
    }
    const { read, allowed } = options[name];
    const value = token.value === undefined ? undefined : read(token.value);
    if (value === undefined) {
      const holds = token.value === undefined ? 'has no value' : `holds ${JSON.stringify(token.value)}`;
      throw new Error(`--${name} ${holds}; it may hold: ${allowed}`);
    }
    given[name] = value;
  }

  const pointless = onlyForMade.find((name) => given.file !== undefined && given[name] !== undefined);
  if (pointless)
    throw new Error(
      `--${pointless} has no effect with --file, whose lines are sent as they are; give one of them`,
    );
  return given;
};

export const help = () => {
  const line = (option: string, meaning: string) => `  --${option.padEnd(15)} ${meaning}`;
  const lines = [
    ...names.map((name) => line(`${name} ${options[name].value}`, options[name].meaning)),
    ...Object.entries(flags).map(([name, meaning]) => line(name, meaning)),
  ];
  return `Usage: bun producer.ts [options]

Sends plausible orders to Kafka, one a second, until Ctrl-C.

${lines.join('\n')}

From the environment: KAFKA_BROKERS (127.0.0.1:9092), KAFKA_TOPIC (orders), KAFKA_SSL, KAFKA_SASL_*.`;
};
