/** The console on a topic, a group and a database of its own, with the thread that reads dead letters. */
import { createLettersThread } from '../../src/console/letters/thread.ts';
import { defaultRules } from '../../src/order/rules.ts';
import { keepIndexes } from '../../src/postgres/indexes.ts';
import { createOrderSearch, searchFieldNames } from '../../src/postgres/search.ts';
import { readyFields, searchIndexes } from '../../src/postgres/search-indexes.ts';
import { brokers, silent } from './kafka-and-postgres.ts';
import { anna, openConsole } from './open-console.ts';
import { openPipeline } from './pipeline.ts';

export const openLetterConsole = async (
  addresses?: string[],
  more: Parameters<typeof openConsole>[0] = {},
) => {
  const pipeline = await openPipeline();
  const { topic, deadLetterTopic } = pipeline;
  const kafka = { brokers: addresses ?? (await brokers()), ssl: false, sasl: undefined };
  const letters = createLettersThread({
    kafka,
    topic,
    deadLetterTopic,
    rules: defaultRules,
    maxBatchBytes: null,
  });
  const isStored = async (uid: string) => (await pipeline.store.find(uid as never)) !== undefined;
  const { sql } = pipeline.database;
  const search = createOrderSearch(sql);
  await keepIndexes(sql, searchIndexes(searchFieldNames), silent, new AbortController().signal);
  const desk = openConsole({ letters, isStored, search, readyFields: () => readyFields(sql), ...more });
  const authorization = `Bearer ${anna.token}`;
  return {
    ...desk,
    pipeline,
    json: async (path: string) => (await desk.get(`/console/api/dead-letters${path}`)).json(),
    /** To the API. */
    post: (path: string, body: unknown) =>
      desk.ask(`/console/api/dead-letters/${path}`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    /** A form of a page. */
    submit: (path: string, fields: Record<string, string | string[]>) => {
      const body = new FormData();
      for (const [name, values] of Object.entries(fields))
        for (const value of [values].flat()) body.append(name, value);
      return desk.ask(`/console/${path}`, { method: 'POST', headers: { authorization }, body });
    },
    async [Symbol.asyncDispose]() {
      letters.close();
      await pipeline[Symbol.asyncDispose]();
    },
  };
};
