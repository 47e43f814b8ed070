/** `bun run replay`: moves the stored offsets of the consumer group, back or forward. See `--help`. */
import { runCommand } from '../src/cli/run.ts';
import { execute } from '../src/replay/command.ts';
import { readCommand } from '../src/replay/options.ts';

await runCommand(readCommand, execute);
