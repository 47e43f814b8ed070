/** Record batches as a hostile producer writes them, and a way to send them as they are. */
import { crc32c } from '@platformatic/wasm-utils';

/** A number of 64 bits as a zigzag varint. */
export const varInt = (value: number | bigint): Buffer => {
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  const bytes: number[] = [];
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
};

/** Bytes after their length, which may be false. */
export const sized = (bytes: Buffer | string | null, length?: number): Buffer =>
  Buffer.concat([
    varInt(length ?? (bytes === null ? -1 : Buffer.byteLength(bytes))),
    Buffer.from(bytes ?? ''),
  ]);

type RecordParts = {
  delta?: number;
  time?: number | bigint;
  key?: Buffer;
  value?: Buffer | string | null;
  headers?: Buffer;
  length?: number;
};

export const record = ({ delta = 0, time = 0, key, value = '', headers, length }: RecordParts): Buffer =>
  sized(
    Buffer.concat([
      Buffer.from([0]),
      varInt(time),
      varInt(delta),
      key ?? sized(null),
      Buffer.isBuffer(value) && key ? value : sized(value),
      headers ?? varInt(0),
    ]),
    length,
  );

type BatchParts = {
  records: Buffer | Buffer[];
  base?: number;
  count?: number;
  lastDelta?: number;
  codec?: number;
  attributes?: number;
  timestamp?: bigint;
  producerId?: bigint;
  leaderEpoch?: number;
  magic?: number;
  /** Whether its checksum is right. */
  intact?: boolean;
};

/** `records` follow the head as they are: already compressed, if there is a codec. */
export const recordBatch = ({
  records,
  base = 0,
  count = Array.isArray(records) ? records.length : 1,
  lastDelta = count - 1,
  codec = 0,
  attributes = 0,
  timestamp = BigInt(Date.now()),
  producerId = -1n,
  leaderEpoch = 0,
  magic = 2,
  intact = true,
}: BatchParts): Buffer => {
  const head = Buffer.alloc(61);
  const bytes = Buffer.concat([head, ...[records].flat()]);
  bytes.writeBigInt64BE(BigInt(base), 0);
  bytes.writeInt32BE(bytes.length - 12, 8);
  bytes.writeInt32BE(leaderEpoch, 12);
  bytes.writeInt8(magic, 16);
  bytes.writeInt16BE(codec | attributes, 21);
  bytes.writeInt32BE(lastDelta, 23);
  bytes.writeBigInt64BE(timestamp, 27);
  bytes.writeBigInt64BE(timestamp, 35);
  bytes.writeBigInt64BE(producerId, 43);
  bytes.writeInt16BE(-1, 51);
  bytes.writeInt32BE(-1, 53);
  bytes.writeInt32BE(count, 57);
  bytes.writeUInt32BE((crc32c(bytes.subarray(21)) ^ (intact ? 0 : 1)) >>> 0, 17);
  return bytes;
};

const text = (value: string) => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(Buffer.byteLength(value));
  return Buffer.concat([bytes, Buffer.from(value)]);
};
const number = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** Sends each batch to the partition in a request of its own. Rejects with Kafka's error code. */
export const sendRaw = async (broker: string, topic: string, partition: number, batches: Buffer[]) => {
  const [hostname = '', port] = broker.split(':');
  let received = Buffer.alloc(0);
  let answered = Promise.withResolvers<Buffer>();
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      binaryType: 'buffer',
      data(_, bytes) {
        received = Buffer.concat([received, bytes]);
        if (received.length < 4 || received.length < 4 + received.readInt32BE()) return;
        answered.resolve(received.subarray(4));
        received = Buffer.alloc(0);
      },
      close: () => answered.reject(new Error('Kafka closed the connection')),
    },
  });
  try {
    for (const batch of batches) {
      answered = Promise.withResolvers();
      const request = Buffer.concat([
        // Produce, version 3; no transaction, all replicas, 10 s.
        Buffer.from([0, 0, 0, 3, 0, 0, 0, 1]),
        text('test'),
        Buffer.from([0xff, 0xff, 0xff, 0xff]),
        number(10_000),
        number(1),
        text(topic),
        number(1),
        number(partition),
        number(batch.length),
        batch,
      ]);
      const bytes = Buffer.concat([number(request.length), request]);
      for (let sent = 0; sent < bytes.length; ) {
        const count = socket.write(bytes.subarray(sent));
        sent += count;
        if (count === 0) await Bun.sleep(1);
      }
      const answer = await answered.promise;
      const code = answer.readInt16BE(4 + 4 + 2 + topic.length + 4 + 4);
      if (code !== 0) throw new Error(`Kafka answered with error ${code}`);
    }
  } finally {
    answered.promise.catch(() => {});
    socket.end();
  }
};
