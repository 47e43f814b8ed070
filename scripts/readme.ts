/** `bun run readme`: brings the README's table of settings up to what `src/config/settings.ts` says. */
import { settings } from '../src/config/settings.ts';

export const readme = `${import.meta.dir}/../README.md`;

/** The README's text with the table that the settings make. */
export const withSettings = (text: string): string => {
  const rows = Object.values(settings).map(
    ({ variable, default: unset, description, allowed }) =>
      `| \`${variable}\` | ${unset && `\`${unset}\``} | ${description} | ${allowed} |`,
  );
  const table = ['| Variable | Default | Description | Allowed |', '|---|---|---|---|', ...rows].join('\n');
  return text.replace(
    /(<!-- settings[^\n]*-->\n)[\s\S]*?(\n\n)/,
    (_, before, after) => `${before}${table}${after}`,
  );
};

if (import.meta.main) await Bun.write(readme, withSettings(await Bun.file(readme).text()));
