/** What `bench/growth.ts` measured with a number of orders in the tables. Rates a second, times in ms. */
export type Figures = {
  orders: number;
  stored: number;
  cached: number;
  cold: number;
  answered: number;
  warm: number;
  bytes: number;
};

const panels: { title: string; unit: string; read: (figures: Figures) => number }[] = [
  { title: 'Stored', unit: 'orders/s', read: ({ stored }) => stored },
  { title: 'Lookups, pages in memory', unit: '/s', read: ({ cached }) => cached },
  { title: 'Lookups, pages on disk', unit: '/s', read: ({ cold }) => cold },
  { title: 'First answer after a start', unit: 'ms', read: ({ answered }) => answered },
  { title: 'Cache warm after a start', unit: 'ms', read: ({ warm }) => warm },
  { title: 'Size', unit: 'bytes an order', read: ({ bytes, orders }) => bytes / orders },
];

const [width, height, margin] = [300, 190, 44];
const columns = 3;

/** A panel for each figure, all from 0 on; the number of orders on a logarithmic scale. As SVG. */
export const drawGrowth = (all: readonly Figures[]): string => {
  const drawn = panels.map(({ title, unit, read }, index) => {
    const points = all.map((figures, place) => ({
      x: margin + (all.length === 1 ? 0.5 : place / (all.length - 1)) * (width - 2 * margin),
      y: height - margin - (read(figures) / most(all.map(read))) * (height - 3 * margin),
      value: read(figures),
      orders: figures.orders,
    }));
    const line = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
    const marks = points.map(
      ({ x, y, value, orders }) =>
        `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3"/>` +
        `<text x="${x.toFixed(1)}" y="${(y - 8).toFixed(1)}" text-anchor="middle">${Math.round(value).toLocaleString('en')}</text>` +
        `<text x="${x.toFixed(1)}" y="${height - 14}" text-anchor="middle" class="axis">${orders.toLocaleString('en')}</text>`,
    );
    const at = `translate(${(index % columns) * width} ${Math.floor(index / columns) * height})`;
    return `<g transform="${at}"><text x="${margin}" y="20" class="title">${title}, ${unit}</text>
<path d="M${margin} ${height - margin}H${width - margin}"/><polyline points="${line}"/>${marks.join('')}</g>`;
  });
  const [w, h] = [columns * width, Math.ceil(panels.length / columns) * height];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" role="img">
<title>Figures by the number of orders in the tables</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600 }
circle { fill: #0969da }
polyline { fill: none; stroke: #0969da; stroke-width: 2 }
path { stroke: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #9da7b1 } circle { fill: #4493f8 } polyline { stroke: #4493f8 } }
</style>
${drawn.join('\n')}
</svg>
`;
};

const most = (values: readonly number[]) => Math.max(...values, 1);
