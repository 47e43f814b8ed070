import { Elysia } from 'elysia';
import { requestClient } from '../client.ts';
import { clientSubscribers, type Feed } from '../feed.ts';
import { toProblem } from '../problem.ts';
import { noStoreHeaders } from '../security-headers.ts';

const headers = {
  ...noStoreHeaders,
  'content-type': 'text/event-stream',
  // A proxy must not buffer the stream.
  'x-accel-buffering': 'no',
};
/** The page's own stream: its events are HTML. */
const hidden = { detail: { hide: true } };
const retry = { 'retry-after': '30' };

/** `GET /events`: the live list, as server-sent events. */
export const createEventsRoute = (feed: Feed) => {
  const open = ({ request }: { request: Request }) => {
    const client = requestClient(request);
    if (!feed.hasRoomFor(client)) return toProblem(request, tooManyOfClient, retry);
    const stream = feed.open(client);
    return stream ? new Response(stream, { headers }) : toProblem(request, tooMany, retry);
  };
  return (
    new Elysia({ name: 'events' })
      .get('/events', open, hidden)
      // Of its own: Elysia would read the stream to its end for the length.
      .head('/events', () => new Response(null, { headers }), hidden)
  );
};

const tooManyOfClient = {
  status: 429,
  title: 'Too many subscribers',
  detail: `One client may open the live list ${clientSubscribers} times at once.`,
};
const tooMany = {
  status: 503,
  title: 'Too many subscribers',
  detail: 'The live list has reached its limit of subscribers.',
};
