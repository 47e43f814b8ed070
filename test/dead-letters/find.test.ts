/** Finding the letters of a person. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import type { IHeaders } from 'kafkajs';
import { deletionAdvice, hasDataOf } from '../../src/dead-letters/find.ts';
import { buildOrder } from '../support/build-order.ts';
import { brokers } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { runScript } from '../support/run-script.ts';

setDefaultTimeout(180_000);

const order = buildOrder({
  customer_id: 'ann',
  delivery: { email: 'Ann.Smith@example.org', phone: '+79001234567' },
});
const text = JSON.stringify(order);
const letterOf = (value: string | null, key = 'key', headers: IHeaders = {}) => ({
  key: Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  headers,
});
const phone = '+79001234567';
const email = 'ann.smith@example.org';

test.each([
  ['the address in an order', letterOf(text), { email: 'ann.smith@EXAMPLE.org' }, true],
  [
    'the address with escapes',
    letterOf(text.replace('@', '\\u0040')),
    { email: 'ann.smith@example.org' },
    true,
  ],
  ['the address in half an order', letterOf(text.slice(0, -9)), { email: 'ann.smith@example.org' }, true],
  [
    'the address as the key',
    letterOf(null, 'ann.smith@example.org'),
    { email: 'ann.smith@example.org' },
    true,
  ],
  ['another address', letterOf(text), { email: 'bob@example.org' }, false],
  ['the number', letterOf(text), { phone: '+79001234567' }, true],
  ['the number grouped', letterOf('{"tel":"7 (900) 123-45-67"}'), { phone: '+79001234567' }, true],
  ['another number', letterOf(text), { phone: '+79001234568' }, false],
  ['the customer', letterOf(text), { customer: 'ann' }, true],
  ['a part of the customer', letterOf(text), { customer: 'an' }, false],
  ['one of two', letterOf(text), { customer: 'bob', phone: '+79001234567' }, true],
  ['nothing', letterOf(null), { customer: 'ann' }, false],
  ['the number with no-break spaces', letterOf('{"tel":"+7\u00a0900\u202f123 45 67"}'), { phone }, true],
  ['the number with hyphens', letterOf('{"tel":"7\u2011900\u2011123\u201145\u201167"}'), { phone }, true],
  ['the number with slashes', letterOf('{"tel":"7/900/123/45/67"}'), { phone }, true],
  ['the number with escaped slashes', letterOf('{"tel":"7\\/900\\/123\\/45\\/67"'), { phone }, true],
  ['the number with escaped hyphens', letterOf('{"tel":"7\\u2011900\\u20111234567"'), { phone }, true],
  ['the number in JSON as a number', letterOf('{"phone":79001234567}'), { phone }, true],
  ['the number as it is written inland', letterOf('{"phone":"8 (900) 123-45-67"}'), { phone }, true],
  ['the number with escaped digits', letterOf('{"phone":"\\u002b\\u00379001234567"'), { phone }, true],
  [
    'the address with escapes in half an order',
    letterOf('{"email":"ann.smith\\u0040example.org'),
    { email },
    true,
  ],
  [
    'the address with escapes under a name that is there twice',
    letterOf('{"email":"ann.smith\\u0040example.org","email":"x"}'),
    { email },
    true,
  ],
  [
    'the address with escapes in JSON in a text',
    letterOf(JSON.stringify({ order: '{"email":"ann.smith\\u0040example.org"}' })),
    { email },
    true,
  ],
  [
    'the address in a header',
    letterOf('', 'k', { from: Buffer.from('<Ann.Smith@example.org>') }),
    { email },
    true,
  ],
  ['the address as a header', letterOf('', 'k', { [email]: 'x' }), { email }, true],
  [
    'the number in one of two headers',
    letterOf('', 'k', { tel: ['1', Buffer.from('7 900 1234567')] }),
    { phone },
    true,
  ],
  ['the customer in a header', letterOf('', 'k', { customer: 'ann' }), { customer: 'ann' }, true],
  ['another customer in a header', letterOf('', 'k', { customer: 'anna' }), { customer: 'ann' }, false],
  ['the customer as a number', letterOf('{"customer_id": 12345 }'), { customer: '12345' }, true],
  [
    'the customer as a number in half an order',
    letterOf('{"customer_id":12345'),
    { customer: '12345' },
    true,
  ],
  ['a part of the number of a customer', letterOf('{"customer_id":123456}'), { customer: '12345' }, false],
  ['the customer with spaces around', letterOf('{"customer_id":"  ann\u00a0"}'), { customer: 'ann' }, true],
  ['the customer with escaped spaces', letterOf('{"customer_id":"\\tann\\n"'), { customer: 'ann' }, true],
  ['the customer with a quote', letterOf('{"customer_id":"a\\"b"}'), { customer: 'a"b' }, true],
  ['the customer with a space inside', letterOf('{"customer_id":"ann  b"}'), { customer: 'ann b' }, true],
  ['one who has the name in front', letterOf('{"customer_id":"ann b"}'), { customer: 'ann' }, false],
])('%s is found, or not', (_, letter, person, expected) => {
  expect(hasDataOf(letter, person)).toBe(expected);
});

test.each([
  ['spaces', ' '.repeat(2_000_000)],
  ['backslashes', '\\'.repeat(2_000_000)],
  ['the beginning of escapes', '\\u00'.repeat(500_000)],
  ['digits', '7900'.repeat(500_000)],
  ['the customer, never alone', 'a '.repeat(1_000_000)],
])('a letter of 2 MB of %s is searched in a time that grows with its size', (_, value) => {
  const search = (text: string) => {
    const startedAt = performance.now();
    expect(hasDataOf(letterOf(text), { phone, email, customer: 'a  a' })).toBeFalse();
    return performance.now() - startedAt;
  };
  search(value);
  // A square would take minutes.
  expect(search(value)).toBeLessThan(5_000);
});

test('the advice to delete one letter speaks of one message', () => {
  const advice = deletionAdvice('letters', 'kafka:9092', new Map([[0, 7n]]), [
    { partition: 0, from: 7n, to: 9n },
  ]);
  expect(advice.join('\n')).toContain('at most 1 message:');
});

test('all letters of a person are listed, discarded ones too, with what Kafka can do to delete them', async () => {
  await using pipeline = await openPipeline();
  const { topic, deadLetterTopic } = pipeline;
  await pipeline.send([
    { key: 'a', value: '{"email":"ANN.SMITH@example.org"' },
    { key: 'b', value: '{}' },
    { key: 'c', value: JSON.stringify({ ...order, sm_id: -1 }) },
    { key: 'd', value: 'no JSON' },
  ]);
  pipeline.join();
  await pipeline.drained();
  const address = String(await brokers());
  const run = (...args: string[]) =>
    runScript('scripts/dead-letters.ts', args, {
      KAFKA_BROKERS: address,
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: deadLetterTopic,
    });
  expect(await run('discard', '--stage', 'parse')).toMatchObject({ code: 0 });

  const { output, code } = await run('find', '--email', 'ann.smith@example.org');
  expect(code).toBe(0);
  expect(output.match(/^0\/\d/gm)?.sort()).toEqual(['0/0', '0/2']);
  expect(output).toContain(`2 letters in ${deadLetterTopic}`);
  expect(output).toContain('these letters and all that are older, at most 3 messages:');
  expect(output).toContain(
    `'{"version":1,"partitions":[{"topic":"${deadLetterTopic}","partition":0,"offset":3}]}'`,
  );
  expect(output).toContain(`--bootstrap-server ${address} `);
  const none = await run('find', '--customer', 'nobody');
  expect(none.output).toBe(`0 letters in ${deadLetterTopic}\n`);
  expect(await run('find')).toMatchObject({ code: 2, errors: 'find needs --phone, --email or --customer\n' });
});
