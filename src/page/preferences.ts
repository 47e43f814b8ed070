import { isTimeZone } from '../../views/format.ts';
import { isLanguage, type Language, preferredLanguage } from '../../views/language.ts';
import type { Theme } from '../../views/view.ts';
import { securityHeaders } from '../http/security-headers.ts';

type Preferences = { language: Language; theme: Theme | undefined; zone: string | undefined };

const isTheme = (value: unknown): value is Theme => value === 'light' || value === 'dark';

/**
 * The visitor's, from cookies; the language otherwise from the browser. A part or a file of a page is in the page's own language,
 * `ofPage`, as another tab may have chosen another one.
 */
export const readPreferences = (request: Request, ofPage: string | null = null): Preferences => {
  const cookies = new Bun.CookieMap(request.headers.get('cookie') ?? '');
  const language = ofPage ?? request.headers.get('page-language') ?? cookies.get('lang');
  const theme = cookies.get('theme');
  const zone = cookies.get('zone');
  return {
    language: isLanguage(language) ? language : preferredLanguage(request.headers.get('accept-language')),
    theme: isTheme(theme) ? theme : undefined,
    zone: zone && isTimeZone(zone) ? zone : undefined,
  };
};

/**
 * Answers a link that changes a preference: sets its cookie and redirects to the address without it, which can be shared; undefined
 * when the URL changes none. `isSecure`: the client uses TLS, and the cookie is for TLS only.
 */
export const savePreferences = (url: URL, isSecure: boolean): Response | undefined => {
  const language = url.searchParams.get('lang');
  const theme = url.searchParams.get('theme');
  if (language === null && theme === null) return undefined;
  url.searchParams.delete('lang');
  url.searchParams.delete('theme');
  const page = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
  const response = redirectTo(`./${page}${url.search}`);
  const attributes = isSecure ? `${cookieAttributes}; Secure` : cookieAttributes;
  if (isLanguage(language)) response.headers.append('set-cookie', `lang=${language}; ${attributes}`);
  if (isTheme(theme)) response.headers.append('set-cookie', `theme=${theme}; ${attributes}`);
  return response;
};

/** For a year. Without `Path`, a cookie is for the path of the page. */
const cookieAttributes = 'Max-Age=31536000; SameSite=Lax';

export const redirectTo = (location: string) =>
  new Response(null, {
    status: 303,
    headers: { ...securityHeaders(), location, 'cache-control': 'no-store' },
  });
