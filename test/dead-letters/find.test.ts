/** Finding the letters of a person. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { hasDataOf } from '../../src/dead-letters/find.ts';
import { buildOrder } from '../support/build-order.ts';
import { brokers } from '../support/kafka-and-postgres.ts';
import { openPipeline } from '../support/pipeline.ts';
import { runScript } from '../support/run-script.ts';

setDefaultTimeout(60_000);

const order = buildOrder({
  customer_id: 'ann',
  delivery: { email: 'Ann.Smith@example.org', phone: '+79001234567' },
});
const text = JSON.stringify(order);
const letterOf = (value: string | null, key = 'key') => ({
  key: Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
});

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
])('%s is found, or not', (_, letter, person, expected) => {
  expect(hasDataOf(letter, person)).toBe(expected);
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
