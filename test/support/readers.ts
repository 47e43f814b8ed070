import { startProgram } from './program.ts';

/** Processes that answer lookups, with warm caches; disposing of them stops them. */
export const startReaders = async (count: number, environment: Record<string, string>) => {
  const programs = Array.from({ length: count }, () => startProgram(environment));
  const stop = () => Promise.all(programs.map((program) => program.stop('SIGTERM')));
  const warm = programs.map(async (program) => {
    await program.said('the cache is warm', 60_000);
    return program.url();
  });
  const urls = await Promise.all(warm).catch(async (error) => {
    await stop();
    throw error;
  });
  return {
    urls,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
};
