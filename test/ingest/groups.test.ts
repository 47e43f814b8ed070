/** Several consumer groups that share a database. */
import { expect, setDefaultTimeout, test } from 'bun:test';
import { createOrderMaker } from '../../src/producer/fake-order.ts';
import { until } from '../support/kafka-and-postgres.ts';
import { openPipeline, readTopic } from '../support/pipeline.ts';

setDefaultTimeout(120_000);

test('two groups of a topic that share a database have a letter each for the same bad message, and a replay sends neither a second one', async () => {
  await using pipeline = await openPipeline();
  const { topic, deadLetterTopic, offsets, group } = pipeline;
  const otherGroup = { groupId: `${topic}_other`, topic };
  const order = createOrderMaker({ seed: 1 })();
  await pipeline.send([
    { key: 'bad', value: '{}' },
    { key: order.order_uid, value: JSON.stringify(order) },
  ]);
  const isAtEnd = async (at: typeof group) => (await offsets.read(at)).get(0)?.nextOffset === 2n;
  const start = async (at: typeof group, letters: string) => {
    const member = pipeline.join(undefined, { groupId: at.groupId, deadLetterTopic: letters });
    await until(() => isAtEnd(at), 60_000);
    expect(await readTopic(letters)).toHaveLength(1);
    return { group: at, letters, member };
  };
  const groups = [await start(group, deadLetterTopic), await start(otherGroup, `${topic}_other_dlq`)];

  for (const one of groups) await offsets.rewind(one.group, [{ partition: 0, offset: 0n }]);
  for (const { member, ...one } of groups) {
    await until(() => member.outcomes.some(({ lettersBefore }) => lettersBefore === 1), 60_000);
    await until(() => isAtEnd(one.group), 60_000);
    expect(await readTopic(one.letters)).toHaveLength(1);
  }
});
