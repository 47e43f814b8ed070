import { Html, type PropsWithChildren } from '@elysiajs/html';
import { datesIn } from './format.ts';
import type { Language } from './language.ts';
import { texts } from './text.ts';
import { literal, type View } from './view.ts';

/** The text of the style sheet, and the paths of the files. */
export type Assets = { style: string; script: string; icon: string };

/** `address`: of the page, without preferences. */
type LayoutProps = PropsWithChildren<{ view: View; assets: Assets; title: string; address: string }>;

/** No styles of htmx's own, and no extensions. Without a delay, nothing happens between the halves of a swap. */
const htmxConfig = JSON.stringify({
  includeIndicatorCSS: false,
  extensions: '',
  defaultTimeout: 15_000,
  defaultSettleDelay: 0,
});

/** The strings of the page's script, which has none itself. */
const scriptWords = ({ text, language }: View) => ({
  title: text.title,
  dates: datesIn(language),
  looking: text.looking,
  copied: text.copied,
  copyFailed: text.copyFailed,
  itemCount: text.itemCount,
  forgetRecent: text.forgetRecent,
  live: {
    connecting: text.liveConnecting,
    on: text.liveOn,
    paused: text.livePaused,
    off: text.liveOff,
  },
  pause: text.pause,
  resume: text.resume,
});

/** The document around the content. */
export const Layout = ({ view, assets, title, address, children }: LayoutProps) => {
  const { text, language, theme } = view;
  return (
    <>
      {'<!doctype html>'}
      <html lang={language} data-theme={theme} data-words={JSON.stringify(scriptWords(view))}>
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content={theme ?? 'light dark'} />
          <title safe>{title}</title>
          <meta name="description" content={text.description} />
          <meta name="robots" content="noindex" />
          <meta name="htmx-config" content={htmxConfig} />
          <link rel="icon" type="image/svg+xml" href={assets.icon} />
          <style>{assets.style as 'safe'}</style>
          <script type="module" src={assets.script}></script>
        </head>
        <body>
          <a class="skip" href="#result" safe>
            {text.skip}
          </a>
          <header class="top">
            <h1>
              <a href="./">
                <Mark />
                <span safe>{text.title}</span>
              </a>
            </h1>
            <nav aria-label={text.settings}>
              <a href="swagger" safe>
                {text.apiDocs}
              </a>
              <Languages view={view} href={(name, value) => setting(name, value, address)} />
              <Themes view={view} href={(name, value) => setting(name, value, address)} />
            </nav>
          </header>
          <main>{children as 'safe'}</main>
        </body>
      </html>
    </>
  );
};

const setting = (name: string, value: string, address: string) =>
  literal(`${address}${address.includes('?') ? '&' : '?'}${name}=${value}`);

/** `href`: of a link that changes a preference. */
type SettingProps = { view: View; href: (name: string, value: string) => string };

export const Languages = ({ view, href }: SettingProps) => (
  <ul class="languages" aria-label={view.text.language}>
    {(Object.keys(texts) as Language[]).map((language) => (
      <li>
        {language === view.language ? (
          <span aria-current="true" safe>
            {language.toUpperCase()}
          </span>
        ) : (
          <a href={href('lang', language)} hreflang={language} data-setting="lang" safe>
            {language.toUpperCase()}
          </a>
        )}
      </li>
    ))}
  </ul>
);

/** Both links; the style sheet shows the one that changes the theme. */
export const Themes = ({ view: { text }, href }: SettingProps) => (
  <>
    <a class="icon to-dark" href={href('theme', 'dark')} data-setting="theme" data-to="dark">
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M13.2 9.8A5.7 5.7 0 0 1 6.2 2.8a5.7 5.7 0 1 0 7 7z" />
      </svg>
      <span class="visually-hidden" safe>
        {text.toDark}
      </span>
    </a>
    <a class="icon to-light" href={href('theme', 'light')} data-setting="theme" data-to="light">
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9 13 13M3 13l1.1-1.1M11.9 4.1 13 3M11 8a3 3 0 1 1-6 0 3 3 0 0 1 6 0z" />
      </svg>
      <span class="visually-hidden" safe>
        {text.toLight}
      </span>
    </a>
  </>
);

export const Mark = () => (
  <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
    <path d="M2 4.5 8 1.5l6 3v7l-6 3-6-3zM2 4.5l6 3 6-3M8 7.5v7" />
  </svg>
);
