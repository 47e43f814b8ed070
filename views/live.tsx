import { Html } from '@elysiajs/html';
import type { View } from './view.ts';

const rows = 8;

/**
 * The newest orders as they are stored. All rows exist from the start and only their text changes, so the layout does not shift.
 */
export const Live = ({ view: { text }, worker }: { view: View; worker: string }) => (
  <section
    id="live"
    class="needs-script"
    aria-labelledby="live-title"
    data-state="connecting"
    data-worker={worker}
  >
    <header>
      <h2 id="live-title" safe>
        {text.live}
      </h2>
      <p class="state" safe>
        {text.liveConnecting}
      </p>
      <button type="button" class="quiet" safe>
        {text.pause}
      </button>
    </header>
    <p class="hint waiting" safe>
      {text.liveWaiting}
    </p>
    <ol>
      {Array.from({ length: rows }, () => (
        <li>
          <a href="./" hidden>
            <span class="code"></span>
            <span class="count"></span>
            <span class="money"></span>
            <span class="age"></span>
          </a>
        </li>
      ))}
    </ol>
  </section>
);
