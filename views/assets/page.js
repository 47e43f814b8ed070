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
recent.querySelector('button').addEventListener('click', () => {
  writeRecent([]);
  field.focus();
});

// The result of a lookup

const shown = () => result.querySelector('[data-state]')?.dataset ?? {};

const settle = ({ moveFocus }) => {
  const { state, uid, say = '' } = shown();
  const wrong = ['notFound', 'malformed', 'shortened', 'tooMany'].includes(state);
  status.textContent = say;
  writeTimes();
  if (wrong) field.setAttribute('aria-invalid', 'true');
  else field.removeAttribute('aria-invalid');
  if (result.querySelector('#message')) field.setAttribute('aria-describedby', 'message');
  else field.removeAttribute('aria-describedby');
  if (state === 'found') {
    field.value = uid;
    writeRecent([uid, ...readRecent().filter((other) => other !== uid)].slice(0, 6));
  }
  if (!moveFocus) return;
  const heading = byId('order');
  if (heading) return heading.focus();
  field.focus();
  if (wrong) field.select();
};

const fail = () => {
  result.replaceChildren(byId(navigator.onLine ? 'failed' : 'offline').content.cloneNode(true));
  result.querySelector('[data-retry]').href = linkTo(field.value);
  settle({ moveFocus: true });
};
addEventListener('online', () => {
  if (shown().state === 'offline') form.requestSubmit();
});

// Lookups

// Another tab may have chosen another language, and all of this page is in its own.
document.addEventListener('htmx:config:request', ({ detail }) => {
  detail.ctx.request.headers['Page-Language'] = root.lang;
});

let loading;
const onLookup = (name, act) =>
  document.addEventListener(name, (event) => {
    if (event.detail.ctx?.target === result) act(event);
  });

/** Whether htmx asks for a page that Back or Forward leads to: its place is in the history already. */
const isRestoring = ({ ctx }) => 'HX-History-Restore-Request' in ctx.request.headers;

onLookup('htmx:before:request', ({ detail }) => {
  if (!isRestoring(detail)) keepPlace();
  clearTimeout(loading);
  status.textContent = '';
  loading = setTimeout(() => {
    form.classList.add('busy');
    result.ariaBusy = 'true';
    status.textContent = words.looking;
  }, 150);
});
onLookup('htmx:finally:request', () => {
  clearTimeout(loading);
  form.classList.remove('busy');
  result.ariaBusy = null;
});
onLookup('htmx:before:swap', (event) => {
  // A proxy's error page and a problem in JSON are not shown.
  if (event.detail.ctx.text.includes('data-state=')) return;
  event.preventDefault();
  fail();
});
onLookup('htmx:after:swap', ({ detail }) => {
  const isRestored = isRestoring(detail);
  settle({ moveFocus: !isRestored });
  if (!isRestored) return;
  // What had the focus is gone with the order before.
  if (document.activeElement === document.body) (byId('order') ?? field).focus({ preventScroll: true });
  returnTo(history.state ?? {});
});
onLookup('htmx:error', fail);

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
  htmx.trigger(form, 'htmx:abort');
  field.value = uidsOf(location);
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
  // By the key's position too: in a Cyrillic layout it types a full stop.
  const isSlash = event.key === '/' || (event.code === 'Slash' && !event.shiftKey);
  if (isSlash && (!isTyping(event) || isUntouched(event))) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === 'Escape') {
    const open = document.querySelector('.when:is(:hover, :focus):not([data-closed])');
    if (open) return closeExact(open);
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
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (!copied) throw new Error('not copied');
};

const fetchPretty = async (url) => {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`status ${response.status}`);
  return JSON.stringify(await response.json(), null, 2);
};

const copy = async (button) => {
  const { copy: text, copyFrom, copyLink } = button.dataset;
  const copied = copyFrom ? fetchPretty(copyFrom) : Promise.resolve(text ?? new URL(copyLink, location).href);
  const outcome = await copyText(copied).then(
    () => words.copied,
    () => words.copyFailed,
  );
  button.focus();
  button.dataset.outcome = outcome;
  status.textContent = outcome;
  setTimeout(() => delete button.dataset.outcome, 1500);
};

const changeSetting = (event, link) => {
  if (link.dataset.setting === 'theme') {
    event.preventDefault();
    root.dataset.theme = link.dataset.to;
    remember('theme', link.dataset.to);
    document.querySelector(`[data-setting="theme"]:not([data-to="${link.dataset.to}"])`).focus();
  } else {
    event.preventDefault();
    const address = new URL(location.href);
    address.searchParams.set(link.dataset.setting, link.hreflang);
    // The page in another language is no other place: Back leads to the order before.
    location.replace(address);
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
