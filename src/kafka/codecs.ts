import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { lz4Compress, snappyCompress } from '@platformatic/wasm-utils';
import { CompressionCodecs, CompressionTypes } from 'kafkajs';
import { decompressLz4 } from './lz4.ts';
import { decompressSnappy } from './snappy.ts';

type Codec = {
  name: string;
  compress(bytes: Buffer): Buffer | Promise<Buffer>;
  /** Allocates no more than about `limit` bytes. Rejects what is not of this codec, and with `tooLargeCode` what is longer. */
  decompress(bytes: Buffer, limit: number): Buffer | Promise<Buffer>;
};

/** Zlib allocates by the piece: few for what is large, and little for what is small. */
const pieceOf = ({ length }: Buffer) => Math.min(1_048_576, Math.max(16_384, 4 * length));

const options = (bytes: Buffer, limit: number) => ({ chunkSize: pieceOf(bytes), maxOutputLength: limit });

/** What producers in other languages compress with, by its number in a record batch; kafkajs itself knows gzip only. */
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

/** Gives kafkajs the codecs, for the whole thread. `limit` is asked for each batch. */
export const registerCodecs = (limit: (compressed: number) => number) => {
  const known: Record<string, unknown> = CompressionCodecs;
  for (const [type, { compress, decompress }] of Object.entries(codecs))
    known[type] = () => ({
      compress: async ({ buffer }: { buffer: Buffer }) => compress(buffer),
      decompress: async (bytes: Buffer) => decompress(bytes, limit(bytes.length)),
    });
};
