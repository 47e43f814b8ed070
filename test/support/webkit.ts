/** WebKitGTK, by its WebDriver (https://www.w3.org/TR/webdriver2/). It needs a display, which Xvfb is. */
import type { Engine, Tab } from './engine-tests.ts';
import { until } from './until.ts';

const browser = '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser';

export const hasWebkit = [Bun.which('WebKitWebDriver'), Bun.which('Xvfb')].every(
  (program) => program !== null,
);

/** As WebDriver names them. */
const keys = { Tab: '\ue004', Enter: '\ue007', ' ': ' ', ArrowDown: '\ue015' };

/** The number of the display that it has opened. */
const startDisplay = async () => {
  const process = Bun.spawn(['Xvfb', '-displayfd', '1', '-screen', '0', '1280x900x24', '-nolisten', 'tcp'], {
    stdout: 'pipe',
    stderr: 'ignore',
  });
  const reader = process.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return { display: `:${new TextDecoder().decode(value).trim()}`, process };
};

const freePort = () => {
  const server = Bun.serve({ port: 0, fetch: () => new Response() });
  const { port } = server;
  void server.stop(true);
  return port;
};

export const openWebkit = async (): Promise<Engine> => {
  const { display, process: xvfb } = await startDisplay();
  const port = freePort();
  const driver = Bun.spawn(['WebKitWebDriver', `--port=${port}`, '--host=127.0.0.1'], {
    // Not C.UTF-8: WebKitGTK makes the language "C" of it, which no Intl accepts.
    env: { ...process.env, DISPLAY: display, LANGUAGE: 'en_GB', LC_ALL: 'C' },
    stdio: ['ignore', 'ignore', 'ignore'],
  });

  const send = async (method: string, path: string, body?: object) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    });
    const { value } = (await response.json()) as { value: { error?: string; message?: string } };
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value as unknown;
  };
  await until(() => send('GET', '/status').catch(() => undefined));

  const capabilities = {
    alwaysMatch: { 'webkitgtk:browserOptions': { binary: browser, args: ['--automation'] } },
  };
  const opened = (await send('POST', '/session', { capabilities })) as { sessionId: string };
  const session = `/session/${opened.sessionId}`;

  const toTab = (handle: string): Tab => {
    /** One command at a time: which window is meant is a state of the session. */
    const run = async (method: string, path: string, body?: object) => {
      await send('POST', `${session}/window`, { handle });
      return send(method, `${session}${path}`, body);
    };
    const evaluate = async <Value>(expression: string): Promise<Value> => {
      const script = `const done = arguments[arguments.length - 1];
        Promise.resolve((() => ${expression})()).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
      const outcome = (await run('POST', '/execute/async', { script, args: [] })) as {
        value: Value;
        error?: string;
      };
      if (outcome.error !== undefined) throw new Error(outcome.error);
      return outcome.value;
    };
    return {
      goto: async (url) => void (await run('POST', '/url', { url })),
      evaluate,
      async type(text) {
        const active = (await run('GET', '/element/active')) as Record<string, string>;
        const [id] = Object.values(active);
        await run('POST', `/element/${id}/value`, { text: text.replaceAll('\n', keys.Enter) });
      },
      async press(key) {
        // The driver hangs at a key that opens a dialog.
        await evaluate('(window.confirm = () => true) && undefined');
        const actions = ['keyDown', 'keyUp'].map((type) => ({ type, value: keys[key] }));
        await run('POST', '/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
      },
      async hasRole(selector, role) {
        const found = (await run('POST', '/element', { using: 'css selector', value: selector })) as object;
        return (await run('GET', `/element/${Object.values(found)[0]}/computedrole`)) === role;
      },
      // Not the driver's: that one skips what a page did without a gesture of a person.
      back: () => evaluate<void>('history.back()'),
      resize: async (width) => void (await run('POST', '/window/rect', { width, height: 800 })),
      close: async () => void (await run('DELETE', '/window')),
    };
  };

  /** It stays open: without a window, none can be opened. */
  const [first] = (await send('GET', `${session}/window/handles`)) as string[];

  return {
    async openTab() {
      await send('POST', `${session}/window`, { handle: first });
      const { handle } = (await send('POST', `${session}/window/new`, { type: 'window' })) as {
        handle: string;
      };
      return toTab(handle);
    },
    async close() {
      await send('DELETE', session).catch(() => {});
      driver.kill();
      await driver.exited;
      xvfb.kill();
      await xvfb.exited;
    },
  };
};
