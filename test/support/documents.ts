import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Glob } from 'bun';
import packageJson from '../../package.json' with { type: 'json' };

/** Reads the documents as a reader does: which files, scripts and options they name, and which of those do not exist. */

export const root = join(import.meta.dir, '../..');

const folders = ['', 'docs/', 'packages/kafka-broker/'];
export const documents = folders.flatMap((folder) =>
  [...new Glob('*.md').scanSync({ cwd: join(root, folder), dot: true })].map((file) => folder + file),
);

export const readDocument = (file: string) => Bun.file(join(root, file)).text();

const fence = /^ *```[^\n]*\n([\s\S]*?)^ *```/gm;

/** What stands between `…` in the text. */
export const spansOf = (markdown: string): string[] =>
  [...markdown.replace(fence, '').matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replace(/\n/g, ' '));

/** Everything that stands in `code` or in a fenced block, without Markdown. */
const codeOf = (markdown: string): string[] => [
  ...[...markdown.matchAll(fence)].map(([, block = '']) => block),
  ...spansOf(markdown),
];

const inRepository = new Set(
  [...new Glob('**/*').scanSync({ cwd: root, dot: true })].filter(
    (path) => !/(^|\/)(node_modules|\.git|\.data|\.services)\//.test(path),
  ),
);
const isFolder = (path: string) => [...inRepository].some((file) => file.startsWith(path));
const topFolders = new Set([...inRepository].flatMap((file) => /^[^/]+(?=\/)/.exec(file) ?? []));
const isKnownFile = (path: string) =>
  inRepository.has(path) ||
  (!path.includes('/') && [...inRepository].some((file) => file.endsWith(`/${path}`)));

/** The files that CONTRIBUTING.md tells its reader to make, and the tools of Apache Kafka. */
const elsewhere = /_gift\.|NNNN|^kafka-[a-z-]+\.sh$/;

/** Paths below a folder of the repository, and names of source files, that do not exist; also looked for in the document's `folder`. */
export const missingFiles = (markdown: string, folder = ''): string[] => {
  const words = codeOf(markdown).flatMap((code) => code.split(/[\s"'=,;:()[\]|]+/));
  const paths = words.filter((word) => /^[\w@.-]+(\/[\w@.*{}-]*)*$/.test(word) && !/[*{}<>]/.test(word));
  return paths.filter((path) => {
    if (elsewhere.test(path) || inRepository.has(folder + path)) return false;
    if (path.endsWith('/')) return topFolders.has(path.split('/')[0] ?? '') && !isFolder(path);
    const [top = ''] = path.split('/');
    const isPath = path.includes('/') && topFolders.has(top);
    const isSource = /^\w[\w.-]*\.(tsx?|sql|ya?ml|cfg|sh)$/.test(path);
    return (isPath && !inRepository.has(path) && !isFolder(`${path}/`)) || (isSource && !isKnownFile(path));
  });
};

/** The package of a folder, if it is one. */
const packageOf = (folder: string): { scripts: object } =>
  inRepository.has(`${folder}package.json`)
    ? createRequire(import.meta.url)(join(root, folder, 'package.json'))
    : { scripts: {} };

const commandLines = (markdown: string) =>
  codeOf(markdown)
    .flatMap((code) => code.replace(/\\\n/g, ' ').split('\n'))
    .map((line) => line.replace(/\s#.*$/, ''));

/** `bun run …` of scripts that neither the repository nor the document's own package has. */
export const missingScripts = (markdown: string, folder = ''): string[] =>
  commandLines(markdown)
    .flatMap((line) => [...line.matchAll(/bun(?:@[\d.]+)?(?: --env-file=\S+)? run ([a-z][a-z:-]*)/g)])
    .map(([, script = '']) => script)
    .filter(
      (script) => ![packageJson, packageOf(folder)].some(({ scripts }) => Object.hasOwn(scripts, script)),
    );

/** Programs with options of their own, by how documents call them, and what prints these. */
const programs: [pattern: RegExp, file: string, ...subcommands: string[]][] = [
  [/\bbun(?:@[\d.]+)? (?:run producer|producer\.ts)\b(.*)/, 'producer.ts'],
  [
    /\bbun (?:run dead-letters|scripts\/dead-letters\.ts)\b(.*)/,
    'scripts/dead-letters.ts',
    'list',
    'show',
    'find',
    'redrive',
  ],
  [/\bbun run replay\b(.*)/, 'scripts/replay.ts'],
  [/\bbun (?:run orders|scripts\/orders\.ts)\b(.*)/, 'scripts/orders.ts'],
  [/\bbun run migrate\b(.*)/, 'scripts/migrate.ts'],
  [/\bbun run services\b(.*)/, 'scripts/services.ts'],
  [/\bbun packages\/kafka-broker\/src\/cli\.ts\b(.*)/, 'packages/kafka-broker/src/cli.ts'],
];

const helpOf = async (file: string, ...args: string[]) => {
  const { stdout, stderr } = Bun.spawn([process.execPath, file, ...args, '--help'], {
    cwd: root,
    stdout: 'pipe',
    stderr: 'pipe',
  });
  return (await new Response(stdout).text()) + (await new Response(stderr).text());
};

/** The options that each program prints. */
export const knownOptions = async () => {
  const texts = programs.map(async ([, file, ...subcommands]) => {
    const helps = [helpOf(file), ...subcommands.map((command) => helpOf(file, command))];
    return [file, new Set((await Promise.all(helps)).join().match(/--[a-z][a-z-]*/g))] as const;
  });
  return new Map(await Promise.all(texts));
};

/** `FILE OPTION` for each option that the program does not have. */
export const missingOptions = (markdown: string, known: Map<string, Set<string>>): string[] =>
  commandLines(markdown).flatMap((line) =>
    programs.flatMap(([pattern, file]) => {
      const [, args = ''] = pattern.exec(line) ?? [];
      const unquoted = args.replace(/'[^']*'/g, "''");
      const options = unquoted.match(/(?<=\s)--[a-z][a-z-]*/g) ?? [];
      return options.filter((option) => !known.get(file)?.has(option)).map((option) => `${file} ${option}`);
    }),
  );
