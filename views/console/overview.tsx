import { Html } from '@elysiajs/html';
import { type Window, windowNames, windows } from '../../src/history/history.ts';
import type { Column, Series } from '../../src/history/series.ts';
import type { Health } from '../../src/http/health.ts';
import { fill } from '../format.ts';
import { literal } from '../view.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import { type Plot, plots } from './plots.ts';
import { type ConsoleView, pageLink } from './view.ts';

type OverviewProps = {
  view: ConsoleView;
  assets: ConsoleAssets;
  health: Health;
  host: string;
  window: Window;
  series: Series;
};

export const Overview = ({ view, assets, health, host, window, series }: OverviewProps) => (
  <ConsoleLayout view={view} assets={assets} title={view.words.overview}>
    <p class="hint" safe>
      {fill(view.words.onlyThisProcess, { host })}
    </p>
    <Parts view={view} health={health} />
    <nav class="windows" aria-label={view.words.window}>
      {windowNames.map((name) => (
        <a href={pageLink('', { window: name })} aria-current={name === window ? 'true' : undefined} safe>
          {view.words.windows[name]}
        </a>
      ))}
    </nav>
    <div class="plots" data-window={window} data-size={`${windows[window].size}`}>
      {plots.map((plot) => (
        <PlotCard view={view} plot={usedIn(plot, health)} series={series} window={window} />
      ))}
    </div>
    <link rel="stylesheet" href={`../${assets.plotsStyle}`} />
    <script type="module" src={`../${assets.plots}`}></script>
  </ConsoleLayout>
);

/** Without the series of Redis where there is none. */
const usedIn = (plot: Plot, { parts }: Health): Plot =>
  parts.redis.state === 'off'
    ? { ...plot, series: plot.series.filter(({ column }) => !/redis/i.test(column)) }
    : plot;

type PlotProps = { view: ConsoleView; plot: Plot; series: Series; window: Window };

/** Without JavaScript there is the table alone. The script draws what `data-plot` says. */
const PlotCard = ({ view, plot, series, window }: PlotProps) => {
  const { words } = view;
  const described = {
    unit: plot.unit,
    isLog: plot.isLog ?? false,
    series: plot.series.map(({ column, label, colour, isDashed }) => ({
      column,
      label: words.seriesNames[label],
      colour,
      isDashed: isDashed ?? false,
    })),
  };
  return (
    <section class="card" aria-labelledby={`plot-${plot.name}`}>
      <h2 id={`plot-${plot.name}`} safe>
        {words.plots[plot.name]}
      </h2>
      <div class="plot needs-script" data-plot={literal(JSON.stringify(described))} aria-hidden="true"></div>
      <details>
        <summary safe>{words.asTable}</summary>
        <PlotTable view={view} plot={plot} series={series} window={window} />
      </details>
    </section>
  );
};

/** Rows of a table: each is the mean of its part of the window. */
const tableRows = 15;

const PlotTable = ({ view, plot, series, window }: PlotProps) => {
  const { words, format } = view;
  const length = series.time.length;
  if (length === 0) return <p safe>{words.noSamples}</p>;
  const step = Math.ceil(windows[window].size / tableRows);
  const starts = Array.from({ length: Math.ceil(length / step) }, (_, at) => length - (at + 1) * step);
  const mean = (column: Column, start: number) => {
    const values = series[column].slice(Math.max(0, start), start + step).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return (
    <section class="scroll" tabindex="0" aria-label={`${words.asTable}: ${words.plots[plot.name]}`}>
      <table>
        <thead>
          <tr>
            <th scope="col" safe>
              {words.time}
            </th>
            {plot.series.map(({ label }) => (
              <th scope="col" safe>
                {words.seriesNames[label]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {starts.map((start) => (
            <tr>
              <th scope="row" safe>
                {format.time(new Date(series.time[start + step - 1] ?? 0), view.zone)}
              </th>
              {plot.series.map(({ column }) => (
                <td safe>{written(view, plot.unit, mean(column, start))}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
};

const written = ({ format, language }: ConsoleView, unit: Plot['unit'], value: number | null): string => {
  if (value === null) return '—';
  if (unit === 'share') return `${format.number(Math.round(value * 1_000) / 10)} %`;
  if (unit === 'bytes') return `${format.number(Math.round(value / 1e6))} ${language === 'ru' ? 'МБ' : 'MB'}`;
  if (unit === 'duration') return format.duration(value * 1_000);
  return format.number(Math.round(value * 10) / 10);
};

type PartState = { state: string; reason?: string };
type Names = Record<string, string>;

/** The state of each part, with its reason. */
export const Parts = ({ view: { words }, health }: { view: ConsoleView; health: Health }) => {
  const parts = Object.entries(health.parts as Record<string, PartState>);
  // An empty column would take the width of a phone.
  const hasReasons = parts.some(([, { reason }]) => reason !== undefined);
  return (
    <section class="card" aria-labelledby="parts">
      <h2 id="parts">
        <span safe>{words.parts}</span>{' '}
        <span class={`badge ${health.status}`} safe>
          {words.health[health.status]}
        </span>
      </h2>
      <table class="list parts">
        <thead>
          <tr>
            <th scope="col" safe>
              {words.part}
            </th>
            <th scope="col" safe>
              {words.state}
            </th>
            {hasReasons ? (
              <th scope="col" safe>
                {words.reason}
              </th>
            ) : null}
          </tr>
        </thead>
        <tbody>
          {parts.map(([name, part]) => (
            <tr>
              <th scope="row" safe>
                {(words.partNames as Names)[name] ?? name}
              </th>
              <td>
                <span class={`state ${part.state}`} safe>
                  {(words.partStates as Names)[part.state] ?? part.state}
                </span>
              </td>
              {hasReasons ? <td safe>{part.reason ?? ''}</td> : null}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
};
