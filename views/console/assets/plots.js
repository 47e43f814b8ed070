// The plots of the overview. One module with uPlot. Nothing moves while the page is hidden, and little when reduced motion is asked for.

const root = document.documentElement;
const area = document.querySelector('.plots');
const shown = area.dataset.window;
/** Samples of the window. */
const size = Number(area.dataset.size);

/** A custom property as a colour that a canvas takes. */
const colourOf = (property) => {
  const probe = area.appendChild(document.createElement('span'));
  probe.style.color = `var(${property})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
};

const numbers = new Intl.NumberFormat(root.lang, { maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat(root.lang, { style: 'percent', maximumFractionDigits: 1 });
const units =
  root.lang === 'ru'
    ? { mega: 'МБ', micro: 'мкс', milli: 'мс', whole: 'с' }
    : { mega: 'MB', micro: 'µs', milli: 'ms', whole: 's' };
const write = {
  rate: (value) => numbers.format(value),
  count: (value) => numbers.format(value),
  share: (value) => percent.format(value),
  bytes: (value) => `${numbers.format(value / 1e6)} ${units.mega}`,
  duration: (seconds) => {
    const [unit, factor] =
      seconds < 0.001 ? [units.micro, 1e6] : seconds < 1 ? [units.milli, 1e3] : [units.whole, 1];
    return `${numbers.format(seconds * factor)} ${unit}`;
  },
};
const clock = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
const times = new Intl.DateTimeFormat(root.lang, clock);
const exactTimes = new Intl.DateTimeFormat(root.lang, { ...clock, second: '2-digit' });
const timeOf = (seconds, interval) => (interval < 60 ? exactTimes : times).format(seconds * 1_000);

/** A line for each power of ten: more of them would hide the values. */
const powersOfTen = (_, _axis, least, greatest) => {
  const from = Math.ceil(Math.log10(least));
  const count = Math.max(0, Math.floor(Math.log10(greatest)) - from + 1);
  return Array.from({ length: count }, (_, at) => 10 ** (from + at));
};

const height = 200;
const plots = [];

const toData = ({ series }, all) => [
  all.time.map((ms) => ms / 1_000),
  ...series.map(({ column }) => all[column]),
];

/** The legend has the values under the pointer, or else the newest. */
const showNewest = (chart) => {
  if (!chart.over.matches(':hover')) chart.setLegend({ idx: chart.data[0].length - 1 });
};

const draw = (element, all) => {
  const plot = JSON.parse(element.dataset.plot);
  const format = (value) => (value === null || value === undefined ? '—' : write[plot.unit](value));
  const [ink, line] = [colourOf('--quiet'), colourOf('--line')];
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const most = plot.unit === 'share' ? 1 : undefined;
  const options = {
    width: element.clientWidth,
    height,
    cursor: { drag: { x: false, y: false } },
    legend: {
      live: true,
      // As the lines: the first series is the time.
      markers: { dash: (_, at) => (plot.series[at - 1]?.isDashed ? 'dashed' : 'solid') },
    },
    // Not at once: the first drawing empties the legend.
    hooks: { ready: [(chart) => requestAnimationFrame(() => showNewest(chart))] },
    scales: {
      x: { time: true },
      y: plot.isLog
        ? {
            distr: 3,
            range: (_, least, greatest) => [least > 0 ? least / 2 : 1e-6, greatest > 0 ? greatest * 2 : 1],
          }
        : { range: (_, _least, greatest) => [0, most ?? (greatest > 0 ? greatest * 1.1 : 1)] },
    },
    axes: [
      {
        ...axis,
        space: 80,
        values: (_, ticks, _axis, _space, interval) => ticks.map((seconds) => timeOf(seconds, interval)),
      },
      {
        ...axis,
        size: 72,
        ...(plot.isLog && { splits: powersOfTen, filter: (_, ticks) => ticks }),
        values: (_, ticks) => ticks.map(format),
      },
    ],
    series: [
      { label: '', value: (_, seconds) => (seconds === null ? '—' : timeOf(seconds, 1)) },
      ...plot.series.map(({ label, colour, isDashed }) => ({
        label,
        stroke: colourOf(colour),
        width: 1.5,
        points: { show: false },
        // A second without lookups is no gap.
        spanGaps: true,
        ...(isDashed && { dash: [4, 4] }),
        value: (_, value) => format(value),
      })),
    ],
  };
  const chart = new uPlot(options, toData(plot, all), element);
  chart.over.addEventListener('pointerleave', () => requestAnimationFrame(() => showNewest(chart)));
  return { plot, element, chart };
};

let all;
const redraw = () => {
  for (const { plot, chart } of plots) {
    chart.setData(toData(plot, all));
    showNewest(chart);
  }
};
const drawAll = () => {
  for (const { chart } of plots.splice(0)) chart.destroy();
  for (const element of area.querySelectorAll('[data-plot]')) plots.push(draw(element, all));
};

const calm = matchMedia('(prefers-reduced-motion: reduce)');
const drawIntervalMs = () => (calm.matches ? 60_000 : 1_000);
// The first sample is drawn, however soon it comes.
let drawnAt = Number.NEGATIVE_INFINITY;

const add = (sample) => {
  if (sample.time <= (all.time.at(-1) ?? 0)) return;
  for (const [name, values] of Object.entries(all)) {
    values.push(sample[name]);
    if (values.length > size) values.shift();
  }
  if (performance.now() - drawnAt < drawIntervalMs() - 100) return;
  drawnAt = performance.now();
  redraw();
};

const retryMs = 5_000;
const timeoutMs = 15_000;
let running = new AbortController();
let events;
let retry;

const stop = () => {
  running.abort();
  events?.close();
  clearTimeout(retry);
};
/** After an error: the page stays as it is, and tries again. */
const startLater = () => {
  retry = setTimeout(start, retryMs);
};
/** Stops what runs before, so there is one stream, one request or one attempt to come, however often it is called. */
const start = async () => {
  stop();
  running = new AbortController();
  const { signal } = running;
  try {
    const response = await fetch(`./api/overview?window=${shown}`, {
      cache: 'no-store',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    // The session has ended. The page is the login then, and comes back after it.
    if (response.status === 401) return location.reload();
    if (!response.ok) throw new Error(`status ${response.status}`);
    all = (await response.json()).series;
  } catch {
    if (!signal.aborted) startLater();
    return;
  }
  if (plots.length === 0) drawAll();
  else redraw();
  area.dataset.state = 'drawn';
  if (shown !== '15m' || document.hidden) return;
  events = new EventSource('./api/overview/events');
  events.onmessage = ({ data }) => add(JSON.parse(data));
  // A stream that was refused does not come back by itself.
  events.onerror = ({ target }) => {
    if (target === events && target.readyState === EventSource.CLOSED) startLater();
  };
};

document.addEventListener('visibilitychange', () => {
  if (document.hidden) stop();
  else start();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => all && drawAll());
new ResizeObserver(() => {
  for (const { chart, element } of plots) {
    if (chart.width !== element.clientWidth) chart.setSize({ width: element.clientWidth, height });
  }
}).observe(area);

// The longer window gets a value each minute.
if (shown !== '15m') setInterval(() => !document.hidden && start(), 60_000);
start();
