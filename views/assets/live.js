// The live list. The rows stay where they are and only their text changes: nothing moves, however many orders arrive.

const live = byId('live');
const list = live.querySelector('ol');
const rows = [...list.querySelectorAll('a')];
const stateText = live.querySelector('.state');
const pauseButton = live.querySelector('button');

const plural = new Intl.PluralRules(root.lang);
const agoBriefly = new Intl.RelativeTimeFormat(root.lang, { numeric: 'auto', style: 'short' });
const number = new Intl.NumberFormat(root.lang);
const moneyFormat = {
  style: 'currency',
  currencyDisplay: 'narrowSymbol',
  trailingZeroDisplay: 'stripIfInteger',
};
const money = (amount, currency) =>
  new Intl.NumberFormat(root.lang, { ...moneyFormat, currency }).format(amount);
const itemCount = (n) =>
  (words.itemCount[plural.select(n)] ?? words.itemCount.other).replace('{n}', number.format(n));
// Our clock may be behind the server's: nothing is stored in the future.
const since = (instant) => relative(new Date(Math.min(Date.parse(instant), Date.now())), agoBriefly);

let orders = [];
let fresh = [];
let drawing;
let connection = 'connecting';
const paused = { hover: false, focus: false, button: false };
// A pointer that happens to rest on the empty list is after nothing there.
const isPaused = () => paused.button || (orders.length > 0 && (paused.hover || paused.focus));

const showState = () => {
  const state = connection === 'on' && isPaused() ? 'paused' : connection;
  live.dataset.state = state;
  stateText.textContent = words.live[state];
};

const draw = () => {
  drawing = undefined;
  if (isPaused() || fresh.length === 0) return;
  const known = new Set(fresh.map(({ uid }) => uid));
  orders = [...fresh, ...orders.filter(({ uid }) => !known.has(uid))].slice(0, rows.length);
  fresh = [];
  live.dataset.filled = '';
  rows.forEach((row, index) => {
    const order = orders[index];
    if (!order) return;
    const [uid, count, sum, time] = row.children;
    row.hidden = false;
    row.href = linkTo(order.uid);
    row.title = order.uid;
    uid.textContent = short(order.uid);
    count.textContent = itemCount(order.items);
    sum.textContent = money(order.amount, order.currency);
    time.dateTime = order.stored;
    time.textContent = since(order.stored);
  });
  showState();
};

/** Draws four times a second at most: more could not be read. */
const drawSoon = () => {
  if (drawing) return;
  drawing = setTimeout(() => requestAnimationFrame(draw), orders.length < rows.length ? 0 : 250);
};

live.addEventListener('htmx:sse:before:message', (event) => {
  // It is data, not a fragment to swap.
  event.preventDefault();
  const order = JSON.parse(event.detail.message.data);
  fresh = [order, ...fresh.filter(({ uid }) => uid !== order.uid)].slice(0, rows.length);
  if (!isPaused()) drawSoon();
});

setInterval(() => {
  if (document.hidden || isPaused()) return;
  for (const [index, order] of orders.entries())
    rows[index].lastElementChild.textContent = since(order.stored);
}, 1000);

const pause = (why, on) => {
  paused[why] = on;
  showState();
  drawSoon();
};
list.addEventListener('pointerenter', () => pause('hover', true));
list.addEventListener('pointerleave', () => pause('hover', false));
list.addEventListener('focusin', () => pause('focus', true));
list.addEventListener('focusout', () => pause('focus', false));
pauseButton.addEventListener('click', () => {
  pause('button', !paused.button);
  pauseButton.ariaPressed = `${paused.button}`;
  pauseButton.textContent = paused.button ? words.resume : words.pause;
});

// The connection. htmx connects again by itself once it has been connected; until then it gives up at the first failure.

let failures = 0;
const connectLater = () => {
  const delay = Math.min(1000 * 2 ** failures++, 30_000) * (0.75 + Math.random() / 2);
  setTimeout(() => live.dispatchEvent(new Event('reconnect')), delay);
};
const setConnection = (state) => {
  connection = state;
  showState();
};

live.addEventListener('htmx:sse:after:connection', () => {
  failures = 0;
  setConnection('on');
});
live.addEventListener('htmx:sse:before:connection', () =>
  setConnection(connection === 'on' ? 'off' : connection),
);
live.addEventListener('htmx:sse:error', () => setConnection('off'));
live.addEventListener('htmx:sse:close', () => {
  setConnection('off');
  connectLater();
});
live.addEventListener('htmx:finally:request', () => {
  if (connection === 'on') return;
  setConnection('off');
  connectLater();
});
