import { statSync } from 'node:fs';
import { define, type Given, integer, number, optionLines, readArguments } from '../cli/arguments.ts';

const table = {
  options: {
    rate: define({
      value: 'N',
      ...number(
        'a number from 0.001 to 1000000, or 0 for no limit',
        (value) => value === 0 || (value >= 0.001 && value <= 1_000_000),
      ),
      description: 'orders a second; 0: as many as Kafka takes. 1 unless given, with --file 0',
    }),
    count: define({ value: 'N', ...integer(1), description: 'stop after so many; otherwise on Ctrl-C' }),
    seed: define({ value: 'N', ...integer(0), description: 'make the same orders each time' }),
    invalid: define({
      value: 'SHARE',
      ...number('a share from 0 to 1, such as 0.1', (value) => value >= 0 && value <= 1),
      description: 'share of messages that are bad on purpose, of every kind',
    }),
    file: define({
      value: 'PATH',
      allowed: 'the path of a file',
      description: 'send the lines of this NDJSON file, or the one JSON document in it, as they are',
      read: (text) => (statSync(text, { throwIfNoEntry: false })?.isFile() ? text : undefined),
    }),
  },
  flags: { quiet: 'say nothing, except that Kafka is away or refuses', help: 'show this' },
};

export type Options = Given<typeof table>;

/** These shape orders that are made; a file's are sent as they are. */
const onlyForMade = ['seed', 'invalid'] as const;

/** The command line as options, or `help`. Throws an Error of one line for the first argument that is not allowed. */
export const readOptions = (args: string[]): Options | 'help' => {
  const read = readArguments(args, table);
  if (read === 'help') return 'help';
  const { given } = read;
  const pointless = onlyForMade.find((name) => given.file !== undefined && given[name] !== undefined);
  if (pointless)
    throw new Error(
      `--${pointless} has no effect with --file, whose lines are sent as they are; give one of them`,
    );
  return given;
};

export const help = () => `Usage: bun producer.ts [options]

Sends plausible orders to Kafka, one a second, until Ctrl-C.

${optionLines(table)}

From the environment: KAFKA_BROKERS (127.0.0.1:9092), KAFKA_TOPIC (orders), KAFKA_SSL, KAFKA_SASL_*.`;
