import type { Faker } from '@faker-js/faker';
// One locale each: the package's index loads all of its seventy, which takes a producer longer than all else it does.
import { faker as anEnglish } from '@faker-js/faker/locale/en';
import { faker as aRussian } from '@faker-js/faker/locale/ru';
import { toInstant } from '../order/instant.ts';
import type { Order } from '../order/order.ts';
import { goods } from './fake-goods.ts';

type Currency = Order['payment']['currency'];

const roublesIn: Record<Currency, number> = { RUB: 1, USD: 90, EUR: 100 };
const banks = {
  ru: ['sber', 'tinkoff', 'vtb', 'alpha', 'raiffeisen'],
  en: ['chase', 'citi', 'hsbc', 'ing', 'alpha'],
};
const carriers = { ru: ['russianpost', 'cdek', 'boxberry', 'meest'], en: ['meest', 'dhl', 'ups', 'fedex'] };
const providers = ['wbpay', 'applepay', 'googlepay'] as const;

/** A Faker of the same locale with randomness of its own, so that others who use the package change nothing here. */
const ownFaker = (shared: Faker, seed: number[]) => {
  const faker = new (shared.constructor as typeof Faker)({ locale: shared.rawDefinitions });
  faker.seed(seed);
  return faker;
};

/** Faker takes a number modulo 2^32 and draws its own seed from as few; two runs that share one share all their uids. */
const seedOf = (seed: number | undefined) =>
  seed === undefined
    ? [...crypto.getRandomValues(new Uint32Array(8))]
    : [seed >>> 0, Math.floor(seed / 2 ** 32)];

/**
 * Returns a function that makes a plausible order each time it is called: canonical, as `parseOrder` returns it.
 * Language, names and places fit its locale, and its sums agree. Two makers with the same `seed` (a safe integer) and
 * the same `now` (ms since 1970) make the same orders; without a seed no two makers do.
 */
export const createOrderMaker = ({
  seed,
  now = Date.now,
}: {
  seed?: number | undefined;
  now?: (() => number) | undefined;
} = {}): (() => Order) => {
  const russian = ownFaker(aRussian, seedOf(seed));
  // Only for words: were it a source of identifiers too, it could repeat those of its twin.
  const english = ownFaker(anEnglish, [russian.number.int()]);

  const { arrayElement: oneOf } = russian.helpers;
  const from = (min: number, max: number) => russian.number.int({ min, max });
  const happens = (percent: number) => from(1, 100) <= percent;
  const hex = (length: number) => russian.string.hexadecimal({ length, casing: 'lower', prefix: '' });

  const deliveryIn = (locale: Order['locale']): Order['delivery'] => {
    const { person, location, internet, phone } = locale === 'ru' ? russian : english;
    const sex = person.sexType();
    const [firstName, lastName] = [person.firstName(sex), person.lastName(sex)];
    const [street, house] = [location.street(), from(1, 180)];
    return {
      name: `${firstName} ${lastName}`,
      phone: phone.number({ style: 'international' }),
      zip: locale === 'ru' ? `${from(101_000, 692_999)}` : location.zipCode('#####'),
      // Some names say more than a person would: "Киров (Вятка)", "Louisville/Jefferson County".
      city: location.city().replace(/ ?[(/].*/, ''),
      address: locale === 'ru' ? `${street}, ${house}` : `${house} ${street}`,
      region: location.state(),
      email: internet.email({ firstName, lastName }).toLowerCase(),
    };
  };

  const itemIn = (
    locale: Order['locale'],
    currency: Currency,
    trackNumber: string,
  ): Order['items'][number] => {
    const good = oneOf(goods);
    const price = Math.ceil(from(...good.roubles) / roublesIn[currency]);
    const sale = happens(30) ? 0 : from(1, 70);
    return {
      chrt_id: from(1_000_000, 99_999_999),
      track_number: trackNumber,
      price,
      rid: hex(21),
      name: good.name[locale],
      sale,
      size: oneOf(good.sizes),
      total_price: Math.max(1, Math.floor((price * (100 - sale)) / 100)),
      nm_id: from(1_000_000, 299_999_999),
      brand: oneOf(good.brands),
      status: happens(80) ? 202 : oneOf([200, 201, 203, 400]),
    };
  };

  return () => {
    const locale = happens(70) ? 'ru' : 'en';
    const currency = locale === 'ru' ? (happens(95) ? 'RUB' : 'USD') : oneOf(['USD', 'EUR'] as const);
    const uid = hex(19);
    const trackNumber = `WBIL${from(1_000_000_000, 9_999_999_999)}`;
    const delivery = deliveryIn(locale);
    const items = Array.from({ length: happens(95) ? from(1, 5) : from(6, 15) }, () =>
      itemIn(locale, currency, trackNumber),
    );

    // Paid, and entered some seconds later; by now at most a minute ago.
    const created = now() * 1000 - from(0, 60_000_000);
    const second = Math.floor(created / 1_000_000);
    const fraction = `${created % 1_000_000}`.padStart(6, '0');
    const date = toInstant(`${new Date(second * 1000).toISOString().slice(0, 19)}.${fraction}Z`) as string;

    const deliveryCost = Math.floor((happens(30) ? 0 : from(10, 150) * 10) / roublesIn[currency]);
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
        provider: oneOf(providers),
        amount: goodsTotal + deliveryCost + customFee,
        payment_dt: second - from(1, 60),
        bank: oneOf(banks[locale]),
        delivery_cost: deliveryCost,
        goods_total: goodsTotal,
        custom_fee: customFee,
      },
      items,
      locale,
      internal_signature: '',
      customer_id: delivery.email.slice(0, delivery.email.indexOf('@')),
      delivery_service: oneOf(carriers[locale]),
      shardkey: `${from(0, 9)}`,
      sm_id: from(0, 99),
      date_created: date,
      oof_shard: `${from(0, 9)}`,
    };
  };
};
