/** `bun run orders erase`: erases orders for good. See `--help`. */
import { runCommand } from '../src/cli/run.ts';
import { execute } from '../src/erasure/command.ts';
import { readCommand } from '../src/erasure/options.ts';

await runCommand(readCommand, execute);
