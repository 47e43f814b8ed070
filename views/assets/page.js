// What the page does beyond links and a form. One module with htmx, which swaps in the result of a lookup.

const root = document.documentElement;
const words = JSON.parse(root.dataset.words);
const byId = (id) => document.getElementById(id);
const form = byId('lookup');
const field = byId('uid');
const result = byId('result');
const status = byId('status');

// Times

const dateTime = new Intl.DateTimeFormat(words.dates, { dateStyle: 'medium', timeStyle: 'short' });
const ago = new Intl.RelativeTimeFormat(root.lang, { numeric: 'auto' });
const number = new Intl.NumberFormat(root.lang);
const units = Object.entries({ year: 31_556_952, month: 2_629_746, day: 86_400, hour: 3_600, minute: 60 });

const relative = (moment, format = ago) => {
  const seconds = (moment - Date.now()) / 1000;
  const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  return format.format(Math.round(seconds / length), unit);
};

const writeTimes = () => {
  for (const time of result.querySelectorAll('time[data-local]')) {
    time.textContent = dateTime.format(new Date(time.dateTime));
  }
  for (const time of result.querySelectorAll('time[data-relative]'))
    time.textContent = relative(new Date(time.dateTime));
};
setInterval(writeTimes, 60_000);

const overTls = location.protocol === 'https:' ? '; Secure' : '';
// Without `Path`, a cookie is for the path of the page.
const remember = (name, value) => {
  // biome-ignore lint/suspicious/noDocumentCookie: the server reads it, and the Cookie Store needs TLS
  document.cookie = `${name}=${value}; Max-Age=31536000; SameSite=Lax${overTls}`;
};
// The server renders the next page in this time zone.
remember('zone', dateTime.resolvedOptions().timeZone);

// Recent orders, kept in this browser

const short = (uid) => {
  const characters = [...uid];
  return characters.length <= 13
    ? uid
    : `${characters.slice(0, 4).join('')}…${characters.slice(-5).join('')}`;
};
const linkTo = (uid) => `./?uid=${encodeURIComponent(uid)}`;
/** The numbers in an address, as the field has them. */
const uidsOf = ({ search }) => new URLSearchParams(search).getAll('uid').join(' ');

const readRecent = () => {
  try {
    const stored = JSON.parse(localStorage.getItem('recent') ?? '[]');
    return Array.isArray(stored) ? stored.filter((uid) => typeof uid === 'string') : [];
  } catch {
    return [];
  }
};
const writeRecent = (uids) => {
  try {
    localStorage.setItem('recent', JSON.stringify(uids));
  } catch {
    // Storage can be full or forbidden; recent orders are a convenience.
  }
  showRecent(uids);
};

const recent = byId('recent');
const showRecent = (uids) => {
  recent.dataset.count = uids.length;
  recent.querySelector('button').hidden = uids.length === 0;
  recent.querySelector('ul').replaceChildren(
    ...uids.map((uid) => {
      const link = Object.assign(document.createElement('a'), { href: linkTo(uid), title: uid });
      const name = document.createElement('bdi');
      name.textContent = short(uid);
      link.append(name);
      const entry = document.createElement('li');
      entry.append(link);
      return entry;
    }),
  );
};
// The browser does not scroll to a link that is in view in part.
recent.addEventListener('focusin', ({ target }) =>
  target.scrollIntoView({ block: 'nearest', inline: 'nearest' }),
);
// Another window has looked an order up, or cleared them all.
addEventListener('storage', () => showRecent(readRecent()));
// Nothing is heard of other windows meanwhile.
addEventListener('pageshow', ({ persisted }) => persisted && showRecent(readRecent()));
recent.querySelector('button').addEventListener('click', () => {
  writeRecent([]);
  field.focus();
});

// The result of a lookup

const shown = () => result.querySelector('[data-state]')?.dataset ?? {};
/** What was looked up last, as the field had it. */
let lookedUp = field.defaultValue;
/** Of the address of what is shown: after Back the window has another one until the response is there. */
let shownAt = location.search;

const settle = ({ moveFocus }) => {
  const { state, uid, say = '' } = shown();
  // What was typed since then stays in the field, and so does the focus.
  const isTyped = field.value !== lookedUp;
  const wrong = !isTyped && ['notFound', 'malformed', 'shortened', 'tooMany'].includes(state);
  status.textContent = say;
  writeTimes();
  for (const link of document.querySelectorAll('[data-setting]')) link.setAttribute('href', hrefOf(link));
  if (wrong) field.setAttribute('aria-invalid', 'true');
  else field.removeAttribute('aria-invalid');
  if (result.querySelector('#message')) field.setAttribute('aria-describedby', 'message');
  else field.removeAttribute('aria-describedby');
  if (state === 'found') {
    if (!isTyped) field.value = uid;
    writeRecent([uid, ...readRecent().filter((other) => other !== uid)].slice(0, 6));
  }
  if (!moveFocus || isTyped) return;
  const heading = byId('order');
  if (heading) return heading.focus();
  field.focus();
  if (wrong) field.select();
};

/** A message of the page's own; `{n}` in it becomes this number. */
const messageOf = (name, n = 0) => {
  const message = byId(name).content.firstElementChild.cloneNode(true);
  const advice = message.querySelector('#message');
  advice.textContent = advice.textContent.replace('{n}', number.format(n));
  message.dataset.say = message.dataset.say.replace('{n}', number.format(n));
  return message;
};

/** Shows a message of the page's own in place of a result. The address is that of what was looked up, unless that is too long. */
const explain = (name, { n, given = lookedUp } = {}) => {
  result.replaceChildren(messageOf(name, n));
  const retry = result.querySelector('[data-retry]');
  if (retry) retry.href = linkTo(lookedUp);
  document.title = `${result.querySelector('h2').textContent.replace(/\.$/, '')} · ${words.title}`;
  if (uidsOf(location) !== given) history.pushState({ htmx: true }, '', given ? linkTo(given) : './');
  shownAt = location.search;
  settle({ moveFocus: true });
};
const fail = () => explain(navigator.onLine ? 'failed' : 'offline');

let isRepeated = false;
addEventListener('online', () => {
  if (latest || shown().state !== 'offline') return;
  isRepeated = true;
  form.requestSubmit();
});

// Lookups

// The server would refuse so many numbers, or so long an address before it is read.
const maxNumbers = 100;
/** In characters, as they are percent-encoded. */
const maxAddress = 2_000;
const leastLength = 10;
const countNumbers = (text) =>
  new Set(text.split(/[\s,;]+/).filter(({ length }) => length >= leastLength)).size;

document.addEventListener(
  'submit',
  (event) => {
    const { uid } = event.target.elements;
    const count = isRepeated ? 0 : countNumbers(uid.value);
    if (event.target !== form || count > maxNumbers) event.preventDefault();
    if (count > maxNumbers) {
      event.stopPropagation();
      if (event.target === form) {
        keepPlace();
        giveUp();
        lookedUp = uid.value;
        explain('tooMany', { n: count, given: '' });
      } else {
        // Beside the form, so that nothing of its list is lost.
        event.target.querySelector('.message')?.remove();
        event.target.prepend(messageOf('tooMany', count));
        status.textContent = event.target.querySelector('.message').dataset.say;
      }
    } else if (event.target !== form) {
      field.value = uid.value.trim().replaceAll(/[\r\n\t]+/g, ' ');
      form.requestSubmit();
    }
  },
  true,
);

// Another tab may have chosen another language, and all of this page is in its own.
document.addEventListener('htmx:config:request', ({ detail }) => {
  const { sourceElement, request } = detail.ctx;
  request.headers['Page-Language'] = root.lang;
  // With the address of a long list, the next list would be more than a server accepts.
  if (location.search.length > maxAddress) delete request.headers['HX-Current-URL'];
  if (sourceElement !== form || !isRepeated) return;
  isRepeated = false;
  request.body.set('uid', lookedUp);
});

/** The context of the request in flight: the response of another one comes too late. */
let latest;
let loading;
const stopWaiting = () => {
  latest = undefined;
  clearTimeout(loading);
  form.classList.remove('busy');
  result.ariaBusy = null;
};
const giveUp = () => {
  latest?.request.abort();
  stopWaiting();
  status.textContent = '';
};

const onLookup = (name, act) =>
  document.addEventListener(name, (event) => {
    if (event.detail.ctx?.target === result) act(event);
  });

/** Whether htmx asks for a page that Back or Forward leads to: its place is in the history already. */
const isRestoring = (ctx) => 'HX-History-Restore-Request' in ctx.request.headers;

/** Gives a request of a restored page what htmx gives all others: an abort, also for when it takes too long. */
const makeAbortable = (request) => {
  const controller = new AbortController();
  request.signal = AbortSignal.any([request.signal, controller.signal]);
  request.abort = (reason) => controller.abort(reason);
};

onLookup('htmx:before:request', ({ detail: { ctx } }) => {
  giveUp();
  if (isRestoring(ctx)) makeAbortable(ctx.request);
  else keepPlace();
  latest = ctx;
  isLeaving = false;
  lookedUp = uidsOf(new URL(ctx.request.action, location));
  loading = setTimeout(() => {
    form.classList.add('busy');
    result.ariaBusy = 'true';
    status.textContent = words.looking;
  }, 150);
});
onLookup('htmx:finally:request', ({ detail }) => {
  if (latest === detail.ctx) stopWaiting();
});
/** A response that is cut off ends elsewhere. */
const isWhole = (text) => text.includes('data-state=') && /<\/(?:article|div|html)>\s*$/.test(text);
// Before htmx parses it.
onLookup('htmx:after:request', (event) => {
  if (latest !== event.detail.ctx) return event.preventDefault();
  // A proxy's error page and a problem in JSON are not shown.
  const { text, response } = event.detail.ctx;
  if (isWhole(text)) return;
  event.preventDefault();
  const { status: code, headers } = response;
  if (code === 429) explain('tooOften', { n: Number.parseInt(headers.get('retry-after'), 10) || 60 });
  else if (code === 414 || code === 431) explain('tooLong', { given: '' });
  else fail();
});
onLookup('htmx:after:swap', ({ detail }) => {
  const isRestored = isRestoring(detail.ctx);
  const { headers } = detail.ctx.response;
  const address = headers.get('hx-push-url') ?? headers.get('hx-replace-url') ?? detail.ctx.request.action;
  shownAt = new URL(address, location).search;
  settle({ moveFocus: !isRestored });
  if (!isRestored) return;
  // What had the focus is gone with the order before.
  if (document.activeElement === document.body) (byId('order') ?? field).focus({ preventScroll: true });
  returnTo(history.state ?? {});
});
/** Since the last request: Firefox ends it with an error then, long before the next page is there. */
let isLeaving = false;
addEventListener('beforeunload', () => {
  isLeaving = true;
});
onLookup('htmx:error', ({ detail }) => {
  if (latest !== detail.ctx) return;
  if (isLeaving) giveUp();
  else fail();
});
// What the address has already adds nothing to the history, as after a failure.
document.addEventListener('htmx:before:history:update', ({ detail }) => {
  if (lookedUp === uidsOf(location)) detail.history.type = 'replace';
});

// Where the reader was, as an order that Back leads to arrives later than the browser scrolls: the part of it at the top of the window.
// Distances from the top of the page change, with the bars above and the rows whose height is only estimated.
const parts = () => [...result.querySelectorAll('tr, li, section')];

const readPlace = () => {
  const part = document.elementFromPoint(root.clientWidth / 2, 0)?.closest('#result :is(tr, li, section)');
  return { scroll: scrollY, part: parts().indexOf(part), top: part?.getBoundingClientRect().top };
};

const returnTo = ({ scroll = 0, part, top }) => {
  const found = parts()[part];
  if (!found) return scrollTo({ top: scroll, behavior: 'instant' });
  // Lays it out, as far as it is not in view; rows beside it get their height in the next frames.
  found.scrollIntoView({ behavior: 'instant' });
  const correct = (frames) => {
    scrollBy({ top: found.getBoundingClientRect().top - top, behavior: 'instant' });
    if (frames > 1) requestAnimationFrame(() => correct(frames - 1));
  };
  requestAnimationFrame(() => correct(5));
};

let scrolled;
const keepPlace = () => {
  clearTimeout(scrolled);
  if (location.search !== shownAt || (latest && isRestoring(latest))) return;
  history.replaceState({ ...history.state, htmx: true, ...readPlace() }, '');
};
addEventListener(
  'scroll',
  () => {
    clearTimeout(scrolled);
    scrolled = setTimeout(keepPlace, 300);
  },
  { passive: true },
);

document.addEventListener('htmx:before:history:restore', () => {
  clearTimeout(scrolled);
  giveUp();
  field.value = uidsOf(location);
});

// htmx restores only entries of the history that it knows; the skip link makes one of its own.
document.querySelector('.skip').addEventListener('click', keepPlace);
addEventListener('hashchange', () => {
  if (!history.state?.htmx) history.replaceState({ htmx: true }, '');
});

// The browser would take the focus away after Back.
globalThis.navigation?.addEventListener('navigate', (event) => {
  if (event.navigationType === 'traverse' && event.canIntercept && !event.hashChange)
    event.intercept({ focusReset: 'manual' });
});

// The field

// A field of one line removes the ends of lines, and would make one number of many.
field.addEventListener('paste', (event) => {
  const pasted = event.clipboardData.getData('text');
  if (!/\S[\r\n\t]+\S/.test(pasted)) return;
  event.preventDefault();
  document.execCommand('insertText', false, pasted.trim().replaceAll(/[\r\n\t]+/g, ' '));
});

field.addEventListener('input', ({ inputType }) => {
  field.removeAttribute('aria-invalid');
  if (inputType !== 'insertFromPaste') return;
  // Quotes may be the number's own.
  field.value = field.value.replace(/^[\s\p{Cf}]+|[\s\p{Cf}]+$/gu, '');
});

const closeExact = (when) => {
  when.dataset.closed = '';
  for (const end of ['pointerleave', 'blur']) {
    when.addEventListener(end, () => delete when.dataset.closed, { once: true });
  }
};

const isTyping = ({ target }) => target.matches?.('input, textarea, select, [contenteditable]');

/** Whether the field is ready for a number: empty, or all of it selected. Then a slash is the key that leads here, and not typed. */
const isUntouched = ({ target }) =>
  target === field && field.selectionEnd - field.selectionStart === field.value.length;

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  // Where nothing is typed by the key's position too: in a Cyrillic layout it is a full stop.
  const isSlash = event.code === 'Slash' && !event.shiftKey;
  if (isTyping(event) ? event.key === '/' && isUntouched(event) : event.key === '/' || isSlash) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === 'Escape') {
    const open = document.querySelector('.when:is(:hover, :focus):not([data-closed])');
    if (open) return closeExact(open);
    if (isTyping(event) && event.target !== field) return;
    field.value = '';
    field.removeAttribute('aria-invalid');
    field.focus();
  }
});

// Links and buttons

const copyText = async (text) => {
  if (navigator.clipboard) {
    // With a promise inside: Safari allows the clipboard only within the click.
    const blob = text.then((value) => new Blob([value], { type: 'text/plain' }));
    return navigator.clipboard.write([new ClipboardItem({ 'text/plain': blob })]);
  }
  // Without TLS there is no clipboard API.
  const area = Object.assign(document.createElement('textarea'), { value: await text });
  const { activeElement } = document;
  // In view, so that the browser does not scroll to it.
  area.style.cssText = 'position: fixed; top: 0';
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  activeElement.focus({ preventScroll: true });
  if (!copied) throw new Error('not copied');
};

const fetchPretty = async (url) => {
  const response = await fetch(url, { signal: AbortSignal.timeout(15_000) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return JSON.stringify(await response.json(), null, 2);
};

// Without the clipboard API, WebKit copies only what is known at the click.
const prepare = ({ target }) => {
  const button = target.closest?.('[data-copy-from]');
  if (!button || navigator.clipboard) return;
  button.pretty ??= fetchPretty(button.dataset.copyFrom);
  button.pretty.catch(() => delete button.pretty);
};
document.addEventListener('pointerover', prepare);
document.addEventListener('focusin', prepare);

const copy = async (button) => {
  const { copy: text, copyFrom, copyLink } = button.dataset;
  const copied = copyFrom
    ? (button.pretty ?? fetchPretty(copyFrom))
    : Promise.resolve(text ?? new URL(copyLink, location).href);
  const outcome = await copyText(copied).then(
    () => words.copied,
    () => words.copyFailed,
  );
  // Another order is shown, and announced.
  if (!button.isConnected) return;
  button.dataset.outcome = outcome;
  status.textContent = outcome;
  setTimeout(() => delete button.dataset.outcome, 1500);
};

/** The link that changes a setting on the page as it is now, or at another address. */
const hrefOf = ({ dataset: { setting, to }, hreflang }, address = location) => {
  const { searchParams } = new URL(address);
  searchParams.set(setting, to ?? hreflang);
  return `./?${searchParams}`;
};

const changeSetting = (event, link) => {
  event.preventDefault();
  if (link.dataset.setting === 'theme') {
    root.dataset.theme = link.dataset.to;
    remember('theme', link.dataset.to);
    document.querySelector(`[data-setting="theme"]:not([data-to="${link.dataset.to}"])`).focus();
  } else {
    // With the order that is looked up just now. The page in another language is no other place: Back leads to the order before.
    const address = new URL(latest?.request.action ?? '', location);
    const isElsewhere = uidsOf(address) !== uidsOf(location);
    // Chromium does not ask for an address while its cache waits for a response from there.
    giveUp();
    location[isElsewhere ? 'assign' : 'replace'](hrefOf(link, address));
  }
};

// The table of technical fields is a text: of an attribute, or in a page that came without this script of its <noscript>.
document.addEventListener(
  'toggle',
  ({ target }) => {
    const kept = target.open && target.querySelector('noscript, [data-html]');
    if (!kept) return;
    const table = document.createElement('template');
    table.innerHTML = kept.dataset.html ?? kept.textContent;
    kept.replaceWith(table.content);
  },
  true,
);

document.addEventListener('click', (event) => {
  const copying = event.target.closest('[data-copy], [data-copy-from], [data-copy-link]');
  if (copying) return copy(copying);
  const link = event.target.closest('a[href^="./?"]');
  if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.dataset.setting) return changeSetting(event, link);
  event.preventDefault();
  field.value = uidsOf(new URL(link.href));
  form.requestSubmit();
});

showRecent(readRecent());
settle({ moveFocus: false });
status.textContent = '';
