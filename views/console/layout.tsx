import { Html, type PropsWithChildren } from '@elysiajs/html';
import { fill } from '../format.ts';
import { Languages, Mark, Themes } from '../layout.tsx';
import { literal } from '../view.ts';
import type { ConsoleView } from './view.ts';

/** Links to the files. `plots` and `plotsStyle` are of the overview alone. */
export type ConsoleAssets = Record<'style' | 'script' | 'icon' | 'plots' | 'plotsStyle', string>;

type LayoutProps = PropsWithChildren<{ view: ConsoleView; assets: ConsoleAssets; title: string }>;

/** The pages in the menu, by their addresses. */
const pages = { '': 'overview', orders: 'orders', 'dead-letters': 'letters' } as const;

/** Pages that belong to one in the menu. */
const sections: Record<string, string> = { letter: 'dead-letters', erase: 'orders' };

/** Each page is a document of its own, whose history the browser keeps: htmx would load it anew, without what is edited. */
const htmxConfig = JSON.stringify({ includeIndicatorCSS: false, defaultTimeout: 30_000, history: false });

/** A page of the console. */
export const ConsoleLayout = ({ view, assets, title, children }: LayoutProps) => {
  const { words, language, theme, operator, address } = view;
  const [current = '', search = ''] = address.split('?', 2);
  const href = (name: string, value: string) =>
    literal(`./${current}?${search && `${search}&`}${name}=${value}`);
  return (
    <>
      {'<!doctype html>'}
      <html lang={language} data-theme={theme}>
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content={theme ?? 'light dark'} />
          <title safe>{`${title} · ${words.console}`}</title>
          <meta name="robots" content="noindex" />
          <meta name="htmx-config" content={htmxConfig} />
          <link rel="icon" type="image/svg+xml" href={`../${assets.icon}`} />
          <link rel="stylesheet" href={`../${assets.style}`} />
          <script type="module" src={`../${assets.script}`}></script>
        </head>
        <body class="console">
          <a class="skip" href="#content" safe>
            {words.skip}
          </a>
          <header>
            <div class="top">
              <p class="name">
                <a href={operator === undefined ? '../' : './'}>
                  <Mark />
                  <span safe>{words.console}</span>
                </a>
              </p>
              <nav aria-label={view.text.settings}>
                <a href="../" safe>
                  {words.toPage}
                </a>
                <Languages view={view} href={href} />
                <Themes view={view} href={href} />
              </nav>
            </div>
            {operator === undefined ? null : (
              <div class="menu">
                <nav aria-label={words.menu}>
                  {Object.entries(pages).map(([page, word]) => (
                    <a
                      href={`./${page}`}
                      aria-current={
                        page === current ? 'page' : page === sections[current] ? 'true' : undefined
                      }
                      safe
                    >
                      {words[word]}
                    </a>
                  ))}
                </nav>
                <form method="post" action="logout">
                  <span safe>{fill(words.operator, { name: operator })}</span>
                  <button type="submit" class="quiet" safe>
                    {words.logOut}
                  </button>
                </form>
              </div>
            )}
          </header>
          <main id="content" tabindex="-1">
            <h1 safe>{title}</h1>
            {children as 'safe'}
          </main>
        </body>
      </html>
    </>
  );
};
