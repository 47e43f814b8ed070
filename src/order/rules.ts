/** What an owner may configure of an order's rules: plain data, which a thread can be given. */
export type OrderRules = {
  currencies: readonly string[];
  providers: readonly string[];
  locales: readonly string[];
  /** Of track numbers. `parseTrackPattern` says which patterns are allowed. */
  trackPattern: string;
  /** Whether prices and totals may be 0. */
  freeItems: boolean;
  /** Older orders are refused; null: none is too old. */
  retentionDays: number | null;
};

export const defaultRules: OrderRules = {
  currencies: ['USD', 'EUR', 'RUB'],
  providers: ['wbpay', 'applepay', 'googlepay'],
  locales: ['en', 'ru'],
  trackPattern: '^[A-Z0-9]{8,20}$',
  freeItems: false,
  retentionDays: null,
};

/** What the columns of PostgreSQL hold, in characters. */
export const columnLengths = { currency: 10, provider: 50, locale: 20, trackNumber: 50 };
