import { readConfig } from '../config/read-config.ts';
import type { Config } from '../config/settings.ts';
import { errorText } from '../observability/error-text.ts';

type Help = { help: string };

/**
 * Ends the process with the status of `work`, or with 1 and one line on standard error if it rejects. The process is ended
 * explicitly because kafkajs may still be connecting, which cannot be cancelled.
 */
export const exitWith = async (work: () => Promise<number>, failurePrefix = ''): Promise<never> => {
  try {
    process.exit(await work());
  } catch (error) {
    const fromKafka = error instanceof Error && error.name.startsWith('KafkaJS');
    console.error(`${failurePrefix}${fromKafka ? 'Kafka refuses: ' : ''}${errorText(error)}`);
    process.exit(1);
  }
};

/**
 * Runs a command line: prints its help with status 0; a wrong argument or setting as one line with status 2; otherwise the
 * status is that of `execute`, and 1 if it rejects.
 */
export const runCommand = <Command extends object>(
  readCommand: (args: string[]) => Command | Help,
  execute: (command: Command, config: Config) => Promise<number>,
  failurePrefix = '',
): Promise<never> =>
  exitWith(async () => {
    let command: Command | Help;
    let config: Config;
    try {
      command = readCommand(process.argv.slice(2));
      config = readConfig(process.env);
    } catch (error) {
      console.error(failurePrefix + (error as Error).message);
      return 2;
    }
    if ('help' in command) {
      console.log(command.help);
      return 0;
    }
    return execute(command, config);
  }, failurePrefix);
