import type { OrderRules } from '../order/rules.ts';
import type { Config } from './settings.ts';

export const orderRules = (config: Pick<Config, keyof OrderRules>): OrderRules => ({
  currencies: config.currencies,
  providers: config.providers,
  locales: config.locales,
  trackPattern: config.trackPattern,
  freeItems: config.freeItems,
  retentionDays: config.retentionDays,
});
