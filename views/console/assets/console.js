// What the console does beyond links and forms. One module with htmx.

/** As long as a person may take a click for lost. */
const repeatMs = 10_000;
const sentAt = new WeakMap();

// A form that changes letters names what it is about to do, and asks once. It is sent once, however often a button is clicked.
document.addEventListener('submit', (event) => {
  const { target, submitter, timeStamp } = event;
  const { ask } = submitter?.dataset ?? {};
  if (timeStamp - sentAt.get(target) < repeatMs || (ask !== undefined && !confirm(ask)))
    event.preventDefault();
  else if (target.method === 'post') sentAt.set(target, event.timeStamp);
});
addEventListener('pageshow', () => {
  for (const form of document.forms) sentAt.delete(form);
});

// The check of an edited value: what is said of the value before is not said of this one.

const check = document.getElementById('check');

const failCheck = () => {
  check.ariaBusy = null;
  check.replaceChildren(document.getElementById('check-failed').content.cloneNode(true));
};

/** A login, a proxy's error and a response that is cut off are none. */
const isCheck = ({ text, response }) =>
  response.status === 200 && /^<p class="(?:in)?valid">.*<\/(?:p|ul)>\s*$/s.test(text);

check?.closest('form').elements.value.addEventListener('input', ({ target }) => {
  htmx.trigger(target, 'htmx:abort');
  check.ariaBusy = 'true';
});
document.addEventListener('htmx:before:swap', (event) => {
  check.ariaBusy = null;
  if (isCheck(event.detail.ctx)) return;
  event.preventDefault();
  failCheck();
});
document.addEventListener('htmx:error', failCheck);
