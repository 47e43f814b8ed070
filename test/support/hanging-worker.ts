/** The thread of a consumer that stops answering once it has started: microtasks without end keep its event loop from turning. */
declare const self: Worker;

self.onmessage = async () => {
  self.postMessage({ type: 'alive' });
  for (;;) await undefined;
};

export {};
