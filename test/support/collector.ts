/** An OpenTelemetry collector as a test needs it: it takes traces as OTLP over HTTP, in JSON, and shows them. */

type Value = { stringValue?: string; intValue?: number; arrayValue?: { values: Value[] } };
type Attribute = { key: string; value: Value };
type Sent = {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: {
      spans: {
        name: string;
        kind: number;
        traceId: string;
        spanId: string;
        parentSpanId?: string;
        attributes: Attribute[];
        links: { traceId: string; spanId: string }[];
        status: { code: number; message?: string };
      }[];
    }[];
  }[];
};

const kinds = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

const plain = ({ stringValue, intValue, arrayValue }: Value): unknown =>
  arrayValue ? arrayValue.values.map(plain) : (stringValue ?? intValue);

const toObject = (attributes: Attribute[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]));

const spansOf = (text: string) =>
  (JSON.parse(text) as Sent).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ kind, attributes, status, ...span }) => ({
        ...span,
        kind: kinds[kind],
        attributes: toObject(attributes),
        failed: status.code === 2,
        resource: toObject(resource.attributes),
      })),
    ),
  );

/** `answer` may refuse or delay. */
export const startCollector = (answer: () => Response | Promise<Response> = () => Response.json({})) => {
  const texts: string[] = [];
  const requests: { path: string; headers: Headers }[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      requests.push({ path: new URL(request.url).pathname, headers: request.headers });
      texts.push(await request.text());
      return answer();
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    /** All that was sent, as it came. */
    text: () => texts.join('\n'),
    spans: () => texts.flatMap(spansOf),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
};
