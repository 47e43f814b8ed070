import { isTimeZone } from '../../views/format.ts';
import { isLanguage, type Language, preferredLanguage } from '../../views/language.ts';
import type { Theme } from '../../views/view.ts';
import { securityHeaders } from '../http/security-headers.ts';

export type Settings = { language: Language; theme: Theme | undefined; zone: string | undefined };

const isTheme = (value: unknown): value is Theme => value === 'light' || value === 'dark';

/** What a reader chose before, or else what the browser asks for. */
export const readSettings = (request: Request): Settings => {
  const cookies = new Bun.CookieMap(request.headers.get('cookie') ?? '');
  const language = cookies.get('lang');
  const theme = cookies.get('theme');
  const zone = cookies.get('zone');
  return {
    language: isLanguage(language) ? language : preferredLanguage(request.headers.get('accept-language')),
    theme: isTheme(theme) ? theme : undefined,
    zone: zone && isTimeZone(zone) ? zone : undefined,
  };
};

/**
 * The answer to a link that changes a setting: it is remembered, and the link that can be shared is without it. What came over
 * TLS (`isSecure`) is sent over TLS alone.
 */
export const changeSettings = (url: URL, isSecure: boolean): Response | undefined => {
  const language = url.searchParams.get('lang');
  const theme = url.searchParams.get('theme');
  if (language === null && theme === null) return undefined;
  url.searchParams.delete('lang');
  url.searchParams.delete('theme');
  const answer = moveTo(`./${url.search}`);
  const attributes = isSecure ? `${lasting}; Secure` : lasting;
  if (isLanguage(language)) answer.headers.append('set-cookie', `lang=${language}; ${attributes}`);
  if (isTheme(theme)) answer.headers.append('set-cookie', `theme=${theme}; ${attributes}`);
  return answer;
};

/** For a year, and for the page's own path, as without one in the cookie. */
const lasting = 'Max-Age=31536000; SameSite=Lax';

/** To the address that this page is known by. */
export const moveTo = (location: string) =>
  new Response(null, {
    status: 303,
    headers: { ...securityHeaders(), location, 'cache-control': 'no-store' },
  });
