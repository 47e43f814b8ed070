import { lz4Compress, lz4Decompress, snappyCompress, snappyDecompress } from '@platformatic/wasm-utils';
import { CompressionCodecs, CompressionTypes } from 'kafkajs';

/**
 * What producers in other languages compress with; kafkajs itself knows gzip only, and ends at a batch of another kind.
 * kafkajs keeps its codecs for the whole thread.
 */
export const registerCodecs = () => {
  CompressionCodecs[CompressionTypes.Snappy] = codec(snappyCompress, decompressSnappy);
  CompressionCodecs[CompressionTypes.LZ4] = codec(lz4Compress, lz4Decompress);
  CompressionCodecs[CompressionTypes.ZSTD] = codec(
    (bytes) => Bun.zstdCompressSync(bytes),
    (bytes) => Bun.zstdDecompressSync(bytes),
  );
};

type Transform = (bytes: Buffer) => Buffer;

const codec = (compress: Transform, decompress: Transform) => () => ({
  compress: async ({ buffer }: { buffer: Buffer }) => compress(buffer),
  decompress: async (bytes: Buffer) => decompress(bytes),
});

const xerialMagic = Buffer.from('\x82SNAPPY\0', 'latin1');
const xerialHeaderBytes = 16;

/** librdkafka sends plain snappy; the Java clients frame it in blocks, each under its length, as the xerial library does. */
const decompressSnappy = (bytes: Buffer): Buffer => {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return snappyDecompress(bytes);
  const blocks: Buffer[] = [];
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    blocks.push(snappyDecompress(bytes.subarray(at + 4, end)));
    at = end;
  }
  return Buffer.concat(blocks);
};
