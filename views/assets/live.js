// The live list. The rows stay in place and only their text changes, so the layout does not shift.

const live = byId('live');
const list = live.querySelector('ol');
const rows = [...list.querySelectorAll('a')];
const stateText = live.querySelector('.state');
const pauseButton = live.querySelector('button');

const plural = new Intl.PluralRules(root.lang);
const agoBriefly = new Intl.RelativeTimeFormat(root.lang, { numeric: 'auto', style: 'short' });
const moneyFormat = {
  style: 'currency',
  currencyDisplay: 'narrowSymbol',
  trailingZeroDisplay: 'stripIfInteger',
};
// Intl throws at a currency without an ISO 4217 code.
const money = (amount, currency) =>
  /^[A-Za-z]{3}$/.test(currency)
    ? new Intl.NumberFormat(root.lang, { ...moneyFormat, currency }).format(amount)
    : `${number.format(amount)} ${currency}`;
const itemCount = (n) =>
  (words.itemCount[plural.select(n)] ?? words.itemCount.other).replace('{n}', number.format(n));
// The browser's clock may be behind the server's.
const since = (instant) => relative(new Date(Math.min(Date.parse(instant), Date.now())), agoBriefly);

let orders = [];
let fresh = [];
let drawing;
let connection = 'connecting';
const paused = { hover: false, focus: false, button: false };
// A pointer that rests on the empty list does not pause it.
const isPaused = () => paused.button || (orders.length > 0 && (paused.hover || paused.focus));

const showState = () => {
  const state = connection === 'on' && isPaused() ? 'paused' : connection;
  live.dataset.state = state;
  stateText.textContent = words.live[state];
};

const fill = () =>
  rows.forEach((row, index) => {
    const order = orders[index];
    const [uid, count, sum, age] = row.children;
    row.hidden = !order;
    if (!order) {
      // Nothing stays of an order that was erased.
      row.href = './';
      row.title = '';
      for (const part of row.children) part.textContent = '';
      return;
    }
    row.href = linkTo(order.uid);
    row.title = order.uid;
    uid.textContent = short(order.uid);
    count.textContent = itemCount(order.items);
    sum.textContent = money(order.amount, order.currency);
    age.textContent = since(order.stored);
  });

const draw = () => {
  drawing = undefined;
  if (isPaused() || fresh.length === 0) return;
  const known = new Set(fresh.map(({ uid }) => uid));
  orders = [...fresh, ...orders.filter(({ uid }) => !known.has(uid))].slice(0, rows.length);
  fresh = [];
  live.dataset.filled = '';
  fill();
  showState();
};

/** Draws at most four times a second, as fast as a person can read. */
const drawSoon = () => {
  if (drawing) return;
  drawing = setTimeout(() => requestAnimationFrame(draw), orders.length < rows.length ? 0 : 250);
};

setInterval(() => {
  if (document.hidden) return;
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
  pauseButton.textContent = paused.button ? words.resume : words.pause;
});

// The connection: in a worker that all windows share, or here where there is none, as on some phones

/** Keeps these orders, also while the list is paused: the others were erased, or may have been. */
const keep = (isKept) => {
  fresh = fresh.filter(isKept);
  if (orders.every(isKept)) return;
  orders = orders.filter(isKept);
  // In one step: the list must not be empty meanwhile.
  draw();
  fill();
};

const receive = ({ data }) => {
  connection = data.state;
  for (const order of data.orders)
    fresh = [order, ...fresh.filter(({ uid }) => uid !== order.uid)].slice(0, rows.length);
  if (data.listed) keep(({ uid }) => data.listed.includes(uid));
  if (data.erased) keep(({ uid }) => !data.erased.includes(uid));
  showState();
  if (fresh.length > 0 && !isPaused()) drawSoon();
};

let port;
// A tab that was opened in the background shows its list, and connects, when a person looks at it.
const reportVisibility = () => port.postMessage(!document.hidden);

const connectWith = (next) => {
  port = next;
  port.onmessage = receive;
  reportVisibility();
};
const connectAlone = () => {
  const { port1, port2 } = new MessageChannel();
  openLiveStream('events')(port2);
  connectWith(port1);
};
if (globalThis.SharedWorker) {
  const worker = new SharedWorker(live.dataset.worker);
  worker.addEventListener('error', connectAlone);
  connectWith(worker.port);
} else connectAlone();

document.addEventListener('visibilitychange', reportVisibility);
addEventListener('pagehide', () => port.postMessage(false));
addEventListener('pageshow', ({ persisted }) => persisted && reportVisibility());
