import { type ICustomPartitioner, Partitioners } from 'kafkajs';

/**
 * As kafkajs's own, but a message that is sent again keeps its partition. Otherwise a message without a key would get another one, and
 * the sequence numbers of the first attempt would be used for other messages: Kafka takes them for duplicates and drops them.
 */
export const createPartitioner: ICustomPartitioner = () => {
  const choose = Partitioners.DefaultPartitioner();
  const chosen = new WeakMap<object, number>();
  return (args) => {
    const partition = chosen.get(args.message) ?? choose(args);
    chosen.set(args.message, partition);
    return partition;
  };
};
