import { Html } from '@elysiajs/html';
import type { Health } from '../../src/http/health.ts';
import { fill } from '../format.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import type { ConsoleView } from './view.ts';

type OverviewProps = { view: ConsoleView; assets: ConsoleAssets; health: Health; host: string };

export const Overview = ({ view, assets, health, host }: OverviewProps) => (
  <ConsoleLayout view={view} assets={assets} title={view.words.overview}>
    <p class="hint" safe>
      {fill(view.words.onlyThisProcess, { host })}
    </p>
    <Parts view={view} health={health} />
  </ConsoleLayout>
);

type PartState = { state: string; reason?: string };
type Names = Record<string, string>;

/** The state of each part, with its reason. */
export const Parts = ({ view: { words }, health }: { view: ConsoleView; health: Health }) => (
  <section class="card" aria-labelledby="parts">
    <h2 id="parts">
      <span safe>{words.parts}</span>{' '}
      <span class={`badge ${health.status}`} safe>
        {words.health[health.status]}
      </span>
    </h2>
    <table class="list">
      <thead>
        <tr>
          <th scope="col" safe>
            {words.part}
          </th>
          <th scope="col" safe>
            {words.state}
          </th>
          <th scope="col" safe>
            {words.reason}
          </th>
        </tr>
      </thead>
      <tbody>
        {Object.entries(health.parts as Record<string, PartState>).map(([name, part]) => (
          <tr>
            <th scope="row" safe>
              {(words.partNames as Names)[name] ?? name}
            </th>
            <td>
              <span class={`state ${part.state}`} safe>
                {(words.partStates as Names)[part.state] ?? part.state}
              </span>
            </td>
            <td safe>{part.reason ?? ''}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </section>
);
