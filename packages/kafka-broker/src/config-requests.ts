/** DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: the settings of topics. */
import { type Api, type Apis, inTurn } from './requests.ts';
import type { Topics } from './topics.ts';
import {
  kafkaError,
  type Reader,
  readList,
  readListOrNull,
  readName,
  readText,
  type Writer,
  writeList,
  writeText,
} from './wire.ts';

const ofTopic = 2;
/** Where a setting comes from, in Kafka's numbers. */
const source = { topic: 1, default: 5 };

const readResource = (request: Reader) => ({ type: request.readInt8(), name: readName(request) });

const writeResource = (
  answer: Writer,
  { error, text, type, name }: { error: number; text: string | null; type: number; name: string },
) => {
  answer.appendInt16(error);
  writeText(answer, text).appendInt8(type);
  writeText(answer, name);
};

const describeConfigs = (topics: Topics): Api => ({
  versions: [1, 2],
  async handle({ request, answer, attempt }) {
    const wanted = readList(request, () => ({
      ...readResource(request),
      keys: readListOrNull(request, readName),
    }));
    request.readBoolean();
    const found = await inTurn(wanted, async ({ type, name, keys }) => ({
      type,
      name,
      ...(await attempt(() =>
        // A broker has no settings of its own that a client could want.
        type === ofTopic ? topics.config(name).filter(({ key }) => !keys || keys.includes(key)) : [],
      )),
    }));
    answer.appendInt32(0);
    writeList(answer, found, (resource) => {
      writeResource(answer, resource);
      writeList(answer, resource.value ?? [], ({ key, value, isOwn }) => {
        writeText(answer, key);
        writeText(answer, value).appendBoolean(false);
        answer
          .appendInt8(isOwn ? source.topic : source.default)
          .appendBoolean(false)
          .appendInt32(0);
      });
    });
  },
});

/** A null value resets the setting to its default. */
type Change = { key: string; value: string | null; refused?: string };

/** `replacesAll`: what is not among the settings sent goes back to its default. */
const alterConfigs = (
  topics: Topics,
  readChange: (request: Reader) => Change,
  replacesAll: boolean,
): Api => ({
  versions: replacesAll ? [0, 1] : [0, 0],
  async handle({ request, answer, attempt }) {
    const wanted = readList(request, () => ({
      ...readResource(request),
      changes: readList(request, readChange),
    }));
    const dryRun = request.readBoolean();
    const changed = await inTurn(wanted, async ({ type, name, changes }) => ({
      type,
      name,
      ...(await attempt(() => {
        if (type !== ofTopic)
          throw kafkaError('INVALID_REQUEST', 'only topics have settings that can be changed');
        const own = topics.config(name).filter(({ isOwn }) => isOwn);
        const refused = changes.find((change) => change.refused)?.refused;
        if (refused !== undefined) throw kafkaError('INVALID_CONFIG', refused);
        const dropped = replacesAll ? own.map(({ key }) => [key, null]) : [];
        const set = changes.map(({ key, value }) => [key, value]);
        topics.configure(name, Object.fromEntries([...dropped, ...set]), dryRun);
      })),
    }));
    answer.appendInt32(0);
    writeList(answer, changed, (resource) => writeResource(answer, resource));
  },
});

const operations = ['SET', 'DELETE', 'APPEND', 'SUBTRACT'];

const incrementalChange = (request: Reader): Change => {
  const key = readName(request);
  const operation = operations[request.readInt8()];
  const value = readText(request);
  if (operation === 'SET' || operation === 'DELETE')
    return { key, value: operation === 'SET' ? value : null };
  // No setting here is a list that could hold more than one value.
  return { key, value, refused: `${key} can be SET or DELETEd, not ${operation ?? 'changed otherwise'}` };
};

export const configApis = (topics: Topics): Apis => ({
  DescribeConfigs: describeConfigs(topics),
  AlterConfigs: alterConfigs(
    topics,
    (request) => ({ key: readName(request), value: readText(request) }),
    true,
  ),
  IncrementalAlterConfigs: alterConfigs(topics, incrementalChange, false),
});
