import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { lz4Compress, snappyCompress } from '@platformatic/wasm-utils';
import { CompressionCodecs, CompressionTypes } from 'kafkajs';
import { decompressLz4 } from './lz4.ts';
import { decompressSnappy } from './snappy.ts';

type Codec = {
  name: string;
  compress(bytes: Buffer): Buffer | Promise<Buffer>;
  /** Allocates no more than about `limit` bytes. Rejects bytes of another format, and, with `tooLargeCode`, a longer result. */
  decompress(bytes: Buffer, limit: number): Buffer | Promise<Buffer>;
};

/** The size of the pieces in which zlib allocates: few pieces for a large result, small ones for a small result. */
const chunkSizeOf = ({ length }: Buffer) => Math.min(1_048_576, Math.max(16_384, 4 * length));

const options = (bytes: Buffer, limit: number) => ({ chunkSize: chunkSizeOf(bytes), maxOutputLength: limit });

/** All codecs of Kafka, by their numbers in a record batch; kafkajs itself has only gzip. */
export const codecs: Record<number, Codec> = {
  [CompressionTypes.GZIP]: {
    name: 'gzip',
    compress: promisify<Buffer, Buffer>(gzip),
    decompress: (bytes, limit) => promisify(gunzip)(bytes, options(bytes, limit)),
  },
  [CompressionTypes.Snappy]: { name: 'snappy', compress: snappyCompress, decompress: decompressSnappy },
  [CompressionTypes.LZ4]: { name: 'lz4', compress: lz4Compress, decompress: decompressLz4 },
  [CompressionTypes.ZSTD]: {
    name: 'zstd',
    compress: promisify<Buffer, Buffer>(zstdCompress),
    decompress: (bytes, limit) => promisify(zstdDecompress)(bytes, options(bytes, limit)),
  },
};

/** Gives kafkajs the codecs, in the whole thread. `limit` is called for each batch. */
export const registerCodecs = (limit: (compressed: number) => number) => {
  const known: Record<string, unknown> = CompressionCodecs;
  for (const [type, { compress, decompress }] of Object.entries(codecs))
    known[type] = () => ({
      compress: async ({ buffer }: { buffer: Buffer }) => compress(buffer),
      decompress: async (bytes: Buffer) => decompress(bytes, limit(bytes.length)),
    });
};
