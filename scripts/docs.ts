/** `bun run docs`: writes the tables of settings in the README and in docs/configuration.md from `src/config/settings.ts`. */
import { takeNoArguments } from '../src/cli/usage.ts';
import { settings } from '../src/config/settings.ts';

export const root = `${import.meta.dir}/..`;

const known = Object.values(settings);

const byVariable = (variable: string) => {
  const setting = known.find((setting) => setting.variable === variable);
  if (!setting) throw new Error(`there is no setting ${variable}`);
  return setting;
};

const code = (text: string) => (text ? `\`${text}\`` : '');

const table = (head: readonly string[], rows: readonly string[][]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

const first = [
  'PORT',
  'HOST',
  'KAFKA_BROKERS',
  'KAFKA_TOPIC',
  'DATABASE_URL',
  'REDIS_URL',
  'CACHE_LIMIT',
  'RATE_LIMIT',
];

/** The README's text with its table of settings renewed. */
export const withSettings = (text: string) => {
  const rows = first
    .map(byVariable)
    .map((setting) => [code(setting.variable), code(setting.default), setting.description]);
  return text.replace(
    /(<!-- settings[^\n]*-->\n)[\s\S]*?\n(?=#)/,
    (_, marker) => `${marker}${table(['Variable', 'Default', 'Description'], rows)}\n\n`,
  );
};

/** Sections of docs/configuration.md; a variable belongs to the first whose pattern it matches. */
const sections: [string, RegExp][] = [
  ['Process', /^(SERVE|CONSUMERS|STOP_DELAY|DATA_DIR|NODE_EXTRA_CA_CERTS)$/],
  ['HTTP', /^(PORT|HOST|ALLOWED_HOSTS|BASE_PATH|PUBLIC_URL|LIVE_FEED|RATE_LIMIT|TRUSTED_PROXIES)$/],
  ['Rules of orders', /^(ORDER_(CURRENCIES|PROVIDERS|LOCALES|FREE_ITEMS|RETENTION_DAYS)|TRACK_PATTERN)$/],
  ['Kafka', /^(KAFKA|DLQ)_/],
  ['PostgreSQL', /^DATABASE_/],
  ['Cache', /^(REDIS_|CACHE_|WARMUP_)/],
  ['Logs, metrics and traces', /^(LOG_|METRICS_|OTEL_)/],
  ['Console', /^CONSOLE_/],
];

export const configuration = () => {
  const sectionOf = (variable: string) => {
    const section = sections.find(([, pattern]) => pattern.test(variable));
    if (!section) throw new Error(`${variable} has no section`);
    return section[0];
  };
  const written = sections.flatMap(([title]) => {
    const rows = known
      .filter(({ variable }) => sectionOf(variable) === title)
      .map(({ variable, default: unset, description, allowed }) => [
        code(variable),
        code(unset),
        description,
        allowed,
      ]);
    return rows.length > 0
      ? [`## ${title}\n\n${table(['Variable', 'Default', 'Description', 'Allowed'], rows)}`]
      : [];
  });
  return `# Configuration

<!-- written by \`bun run docs\` from src/config/settings.ts: change the descriptions there -->

Settings come from the environment, or from a file \`.env\` in the working directory ([\`.env.example\`](../.env.example)), which Bun
reads by itself. A variable that is unset or empty has its default. A value that is not allowed stops the start with status 2 and
one line, for example:

\`\`\`
PORT holds "abc"; allowed: an integer from 0 to 65535
\`\`\`

The commands (\`bun run producer\`, \`dead-letters\`, \`replay\`, \`orders\`, \`migrate\`) read the same settings; \`--help\` lists which.

${written.join('\n\n')}
`;
};

if (import.meta.main) {
  takeNoArguments(
    'Usage: bun run docs: writes the tables of settings in README.md and docs/configuration.md',
  );
  const readme = `${root}/README.md`;
  await Bun.write(readme, withSettings(await Bun.file(readme).text()));
  await Bun.write(`${root}/docs/configuration.md`, configuration());
}
