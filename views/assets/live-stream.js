/**
 * The connection to the live list: one for all windows of this site, as a browser opens only six connections to a server of HTTP/1.1, and
 * none while all of them are hidden. Returns what serves a window's port: the window posts whether it is shown, and gets the connection's
 * state and the orders, the oldest first; `listed` are the numbers of all that it may list, `erased` of those that it may not.
 */
// biome-ignore lint/correctness/noUnusedVariables: the files that follow use it
const openLiveStream = (url) => {
  /** As many as a window lists. */
  const kept = 8;
  const ports = new Set();
  let source;
  let retry;
  let failures = 0;
  let state = 'connecting';
  let orders = [];
  /** Whether `orders` are all that the server has, so that a window lists no other: it may hold erased ones from before. */
  let isWhole = false;

  const post = (message) => {
    for (const port of ports) port.postMessage(message);
  };
  const setState = (next) => {
    state = next;
    post({ state, orders: [] });
  };
  const close = () => {
    clearTimeout(retry);
    retry = undefined;
    source?.close();
    source = undefined;
    orders = [];
    isWhole = false;
  };
  const whole = () => ({ state, orders, ...(isWhole && { listed: orders.map(({ uid }) => uid) }) });
  const connect = () => {
    retry = undefined;
    source = new EventSource(url);
    source.onopen = () => {
      failures = 0;
      setState('on');
    };
    source.onmessage = ({ data }) => {
      const order = JSON.parse(data);
      orders = [...orders.filter(({ uid }) => uid !== order.uid), order].slice(-kept);
      post({ state, orders: [order] });
    };
    source.addEventListener('history', () => {
      isWhole = true;
      post(whole());
    });
    source.addEventListener('erased', ({ data }) => {
      const erased = JSON.parse(data);
      orders = orders.filter(({ uid }) => !erased.includes(uid));
      post({ state, orders: [], erased });
    });
    // Not left to the browser, which retries forever at one pace, and not at all after a refusal.
    source.onerror = () => {
      close();
      setState('off');
      retry = setTimeout(connect, Math.min(1000 * 2 ** failures++, 30_000) * (0.75 + Math.random() / 2));
    };
  };

  const show = (port) => {
    ports.add(port);
    if (!source && !retry) connect();
    port.postMessage(whole());
  };
  const hide = (port) => {
    ports.delete(port);
    if (ports.size > 0) return;
    close();
    failures = 0;
    state = 'connecting';
  };
  return (port) => {
    port.onmessage = ({ data: isShown }) => (isShown ? show(port) : hide(port));
  };
};
