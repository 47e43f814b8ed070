/** An expression for the page, once nothing is in flight: in what its parts disagree. Each text says what is, and what should be. */
export const disagreements = `(() => {
  const found = [];
  const expectEqual = (what, actual, expected) => {
    if (actual !== expected) found.push(what + ' is ' + JSON.stringify(actual) + ', not ' + JSON.stringify(expected));
  };
  const textsOf = (selector) => [...document.querySelectorAll(selector)].map(({ textContent }) => textContent);
  /** Each once, without quotes and commas. */
  const numbersOf = (text) => [...new Set(text.replaceAll(/[«»,]/g, ' ').trim().split(/ +/))].join(' ');
  const numbersIn = (address) => numbersOf(new URL(address).searchParams.getAll('uid').join(' '));

  const field = document.querySelector('#uid');
  const result = document.querySelector('#result');
  const { state, uid, say = '' } = result.querySelector('[data-state]').dataset;
  const shown =
    { found: uid, several: textsOf('.rows bdi').join(' '), empty: '', tooMany: '' }[state] ?? numbersIn(location);
  expectEqual('the address', numbersIn(location), shown);
  if (state !== 'tooMany') expectEqual('the field', numbersOf(field.value), shown);

  const [heading = ''] = textsOf('#order, .message h2');
  if (state === 'found') {
    expectEqual('the heading', heading, uid);
    expectEqual('the newest recent order', document.querySelector('#recent a')?.title, uid);
  }
  const title = state === 'empty' ? 'Order Lookup' : heading.replace(/\\.$/, '') + ' · Order Lookup';
  expectEqual('the title', document.title, title);

  const { copied, copyFailed } = JSON.parse(document.documentElement.dataset.words);
  const [status] = textsOf('#status');
  if (status !== copied && status !== copyFailed) expectEqual('the status', status, say);
  const isWrong = ['notFound', 'tooMany'].includes(state);
  expectEqual('aria-invalid', field.getAttribute('aria-invalid'), isWrong ? 'true' : null);
  expectEqual('aria-describedby', field.getAttribute('aria-describedby'), result.querySelector('#message') ? 'message' : null);
  expectEqual('aria-busy', result.ariaBusy, null);
  for (const link of document.querySelectorAll('[data-retry], [data-setting=lang]'))
    expectEqual('the link ' + link.textContent, numbersIn(link.href), numbersIn(location));
  if (document.activeElement === document.body) found.push('nothing has the focus');
  return found;
})()`;
