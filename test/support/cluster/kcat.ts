/** The command line of kcat, librdkafka's tool. An option with `=` is a setting of the library. */
export const kcat = (brokers: string, options: string[]): string[] => [
  'kcat',
  '-b',
  brokers,
  ...options.flatMap((option) => (/^[a-z.]+=/.test(option) ? ['-X', option] : [option])),
];

/** What it prints. */
const askKcat = async (brokers: string, options: string[]): Promise<string> => {
  const child = Bun.spawn(kcat(brokers, options), { stdout: 'pipe', stderr: 'pipe' });
  const [out, error] = await Promise.all([
    Bun.readableStreamToText(child.stdout),
    Bun.readableStreamToText(child.stderr),
    child.exited,
  ]);
  if (child.exitCode !== 0) throw new Error(`kcat ${options.join(' ')}: ${error}`);
  return out;
};

type Partition = { partition: number; leader: number; replicas: { id: number }[]; isrs: { id: number }[] };

/** The partitions of the topic in the metadata of these brokers. */
export const partitionsOf = async (brokers: string, topic: string): Promise<Partition[]> => {
  const text = await askKcat(brokers, ['-L', '-J', '-t', topic, '-m', '5']);
  const { topics } = JSON.parse(text) as { topics: { topic: string; partitions: Partition[] }[] };
  return topics.find((found) => found.topic === topic)?.partitions ?? [];
};

/** The keys of all messages of the topic, one for each message. */
export const keysOf = async (brokers: string, topic: string): Promise<string[]> => {
  const text = await askKcat(brokers, ['-C', '-t', topic, '-e', '-q', '-o', 'beginning', '-f', '%k\\n']);
  return text.split('\n').filter(Boolean);
};

export type KafkaRecord = { partition: number; offset: bigint; key: string };

/** All records of the topic, without their values. */
export const recordsOf = async (brokers: string, topic: string): Promise<KafkaRecord[]> => {
  const options = ['-C', '-t', topic, '-e', '-q', '-o', 'beginning', '-f', '%p %o %k\\n'];
  const lines = (await askKcat(brokers, options)).split('\n').filter(Boolean);
  return lines.map((line) => {
    const [partition, offset, key = ''] = line.split(' ');
    return { partition: Number(partition), offset: BigInt(offset ?? 0), key };
  });
};
