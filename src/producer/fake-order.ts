import type { Faker } from '@faker-js/faker';
// One import per locale: the package's index loads all seventy, which dominates the start of a producer.
import { faker as anEnglish } from '@faker-js/faker/locale/en';
import { faker as aRussian } from '@faker-js/faker/locale/ru';
import { toInstant } from '../order/instant.ts';
import type { Order } from '../order/order.ts';
import { defaultRules, type OrderRules } from '../order/rules.ts';
import { goods } from './fake-goods.ts';
import { createTrackNumberMaker } from './fake-track-number.ts';

type Language = 'ru' | 'en';

const roublesIn: Record<string, number> = { RUB: 1, USD: 90, EUR: 100 };
/** The roubles for one unit of a currency that is not in the list. */
const roublesInOther = 100;
const banks = {
  ru: ['sber', 'tinkoff', 'vtb', 'alpha', 'raiffeisen'],
  en: ['chase', 'citi', 'hsbc', 'ing', 'alpha'],
};
const carriers = { ru: ['russianpost', 'cdek', 'boxberry', 'meest'], en: ['meest', 'dhl', 'ups', 'fedex'] };

/** A Faker of the same locale with its own randomness, independent of other users of the package. */
const ownFaker = (shared: Faker, seed: number[]) => {
  const faker = new (shared.constructor as typeof Faker)({ locale: shared.rawDefinitions });
  faker.seed(seed);
  return faker;
};

/** More bits than Faker uses by default: it seeds itself with 32, and two runs with the same seed would share all their uids. */
const seedOf = (seed: number | undefined) =>
  seed === undefined
    ? [...crypto.getRandomValues(new Uint32Array(8))]
    : [seed >>> 0, Math.floor(seed / 2 ** 32)];

/**
 * Returns a function that generates plausible orders in canonical form, as a parser of these rules returns them. Names and places fit the
 * language, and the sums are consistent. The same `seed` (a safe integer) and `now` (ms since 1970) give the same orders.
 */
export const createOrderMaker = ({
  seed,
  now = Date.now,
  rules = defaultRules,
}: {
  seed?: number | undefined;
  now?: (() => number) | undefined;
  rules?: OrderRules | undefined;
} = {}): (() => Order) => {
  const russian = ownFaker(aRussian, seedOf(seed));
  // For words only: as a source of identifiers it could repeat those of another run.
  const english = ownFaker(anEnglish, [russian.number.int()]);

  const { arrayElement: oneOf } = russian.helpers;
  const from = (min: number, max: number) => russian.number.int({ min, max });
  const happens = (percent: number) => from(1, 100) <= percent;
  const hex = (length: number) => russian.string.hexadecimal({ length, casing: 'lower', prefix: '' });

  const trackNumberOf = createTrackNumberMaker(rules.trackPattern, { from, oneOf });

  const otherLocales = rules.locales.filter((locale) => !defaultRules.locales.includes(locale));
  const otherCurrencies = rules.currencies.filter((currency) => !defaultRules.currencies.includes(currency));
  /** The usual value, or one that only the configuration allows: where that is all it allows, and now and then. */
  const allowed = (values: readonly string[], others: readonly string[], usual: string) => {
    if (others.length > 0 && happens(20)) return oneOf(others);
    return values.includes(usual) ? usual : oneOf(values);
  };

  const deliveryIn = (language: Language): Order['delivery'] => {
    const { person, location, internet, phone } = language === 'ru' ? russian : english;
    const sex = person.sexType();
    const [firstName, lastName] = [person.firstName(sex), person.lastName(sex)];
    const [street, house] = [location.street(), from(1, 180)];
    return {
      name: `${firstName} ${lastName}`,
      phone: phone.number({ style: 'international' }),
      zip: language === 'ru' ? `${from(101_000, 692_999)}` : location.zipCode('#####'),
      // Some names have additions: "Киров (Вятка)", "Louisville/Jefferson County".
      city: location.city().replace(/ ?[(/].*/, ''),
      address: language === 'ru' ? `${street}, ${house}` : `${house} ${street}`,
      region: location.state(),
      email: internet.email({ firstName, lastName }).toLowerCase(),
    };
  };

  const itemIn = (language: Language, roubles: number, trackNumber: string): Order['items'][number] => {
    const good = oneOf(goods);
    const price = Math.ceil(from(...good.roubles) / roubles);
    const sale = happens(30) ? 0 : from(1, 70);
    return {
      chrt_id: from(1_000_000, 99_999_999),
      track_number: trackNumber,
      price,
      rid: hex(21),
      name: good.name[language],
      sale,
      size: oneOf(good.sizes),
      total_price: Math.max(1, Math.floor((price * (100 - sale)) / 100)),
      nm_id: from(1_000_000, 299_999_999),
      brand: oneOf(good.brands),
      status: happens(80) ? 202 : oneOf([200, 201, 203, 400]),
    };
  };

  return () => {
    const language = happens(70) ? 'ru' : 'en';
    const locale = allowed(rules.locales, otherLocales, language);
    const usualCurrency = language === 'ru' ? (happens(95) ? 'RUB' : 'USD') : oneOf(['USD', 'EUR']);
    const currency = allowed(rules.currencies, otherCurrencies, usualCurrency);
    const roubles = roublesIn[currency] ?? roublesInOther;
    const uid = hex(19);
    const trackNumber = trackNumberOf();
    const delivery = deliveryIn(language);
    const items = Array.from({ length: happens(95) ? from(1, 5) : from(6, 15) }, () =>
      itemIn(language, roubles, trackNumber),
    );

    // Paid, then created some seconds later, at most a minute ago.
    const created = now() * 1000 - from(0, 60_000_000);
    const second = Math.floor(created / 1_000_000);
    const fraction = `${created % 1_000_000}`.padStart(6, '0');
    const date = toInstant(`${new Date(second * 1000).toISOString().slice(0, 19)}.${fraction}Z`) as string;

    const deliveryCost = Math.floor((happens(30) ? 0 : from(10, 150) * 10) / roubles);
    const goodsTotal = items.reduce((sum, item) => sum + item.total_price, 0);
    const customFee = currency === 'RUB' || happens(70) ? 0 : Math.ceil((goodsTotal * from(1, 20)) / 100);

    return {
      order_uid: uid,
      track_number: trackNumber,
      entry: 'WBIL',
      delivery,
      payment: {
        transaction: uid,
        request_id: '',
        currency,
        provider: oneOf(rules.providers),
        amount: goodsTotal + deliveryCost + customFee,
        payment_dt: second - from(1, 60),
        bank: oneOf(banks[language]),
        delivery_cost: deliveryCost,
        goods_total: goodsTotal,
        custom_fee: customFee,
      },
      items,
      locale,
      internal_signature: '',
      customer_id: delivery.email.slice(0, delivery.email.indexOf('@')),
      delivery_service: oneOf(carriers[language]),
      shardkey: `${from(0, 9)}`,
      sm_id: from(0, 99),
      date_created: date,
      oof_shard: `${from(0, 9)}`,
    };
  };
};
