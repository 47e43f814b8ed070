import htmx from 'htmx.org/dist/htmx.min.js' with { type: 'text' };
import uplot from 'uplot/dist/uPlot.iife.min.js' with { type: 'text' };
import uplotStyle from 'uplot/dist/uPlot.min.css' with { type: 'text' };
import adaptStyle from '../../views/assets/adapt.css' with { type: 'text' };
import baseStyle from '../../views/assets/base.css' with { type: 'text' };
import icon from '../../views/assets/icon.svg' with { type: 'text' };
import itemsStyle from '../../views/assets/items.css' with { type: 'text' };
import orderStyle from '../../views/assets/order.css' with { type: 'text' };
import consoleStyle from '../../views/console/assets/console.css' with { type: 'text' };
import consoleScript from '../../views/console/assets/console.js' with { type: 'text' };
import plotsScript from '../../views/console/assets/plots.js' with { type: 'text' };
import { createAsset } from '../http/asset.ts';

/** The console's own files: the page's style, and more. */
export const createConsoleAssets = () => ({
  style: createAsset(
    'console.css',
    'text/css',
    [baseStyle, orderStyle, itemsStyle, consoleStyle, adaptStyle].join('\n'),
  ),
  script: createAsset('console.js', 'text/javascript', [htmx, consoleScript].join('\n')),
  /** Only the overview uses it. */
  plots: createAsset('plots.js', 'text/javascript', [uplot, plotsScript].join('\n')),
  plotsStyle: createAsset('plots.css', 'text/css', uplotStyle),
  icon: createAsset('console.svg', 'image/svg+xml', icon),
});
