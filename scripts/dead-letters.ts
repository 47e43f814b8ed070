/** `bun run dead-letters`: lists dead letters, shows one, sends their messages again, or discards them. See `--help`. */
import { runCommand } from '../src/cli/run.ts';
import { execute } from '../src/dead-letters/commands.ts';
import { readCommand } from '../src/dead-letters/options.ts';

await runCommand(readCommand, execute);
