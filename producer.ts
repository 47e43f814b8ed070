/** Sends fake orders, or the lines of a file, to Kafka. See `--help`. */
import { runCommand } from './src/cli/run.ts';
import { readOptions } from './src/producer/options.ts';
import { execute } from './src/producer/produce.ts';

await runCommand(readOptions, execute);
