/**
 * `bun run audit`: queries the package registry for known vulnerabilities of the installed packages. Status 1 for any in production
 * dependencies, and for high and critical ones in tools; status 3 if the registry does not support audits, so nothing was checked.
 */
import { takeNoArguments } from '../src/cli/usage.ts';

takeNoArguments(
  'Usage: bun run audit: queries the registry for known vulnerabilities of the installed packages',
);

const notChecked = 3;

/** Advisories that do not apply, by number, each with the reason. */
const ignored: string[] = [];

type Advisory = { severity?: string; title?: string; url?: string };

/** The findings of `bun audit` by package; undefined if the registry does not answer. */
const audit = async (...options: string[]) => {
  const command = [process.execPath, 'audit', '--json', ...options, ...ignored.map((id) => `--ignore=${id}`)];
  const child = Bun.spawn(command, { stdout: 'pipe', stderr: 'pipe' });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  try {
    return JSON.parse(output) as Record<string, Advisory[]>;
  } catch {
    console.log(
      `The registry cannot be asked for advisories: ${(errors || output).trim().split('\n').at(-1)}`,
    );
    return undefined;
  }
};

const inProduction = await audit('--production');
const everywhere = inProduction && (await audit('--audit-level=high'));
if (!inProduction || !everywhere) {
  console.log(`${inProduction ? 'The tools were not' : 'NOTHING WAS'} checked for known vulnerabilities.`);
  process.exitCode = notChecked;
} else {
  const found = Object.entries({ ...everywhere, ...inProduction });
  for (const [name, advisories] of found)
    for (const { severity, title, url } of advisories) console.log(`${name}: ${severity}: ${title} ${url}`);
  console.log(found.length === 0 ? 'No known vulnerabilities.' : `${found.length} packages are vulnerable.`);
  process.exitCode = found.length > 0 ? 1 : 0;
}
