// What the console does beyond links and forms. One module with htmx.

// A form that changes letters names what it is about to do, and asks once.
document.addEventListener('submit', (event) => {
  const { ask } = event.submitter?.dataset ?? {};
  if (ask !== undefined && !confirm(ask)) event.preventDefault();
});
