/** The Nu HTML checker (https://validator.github.io/validator/), a program in Java. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testWith } from './test-with.ts';

/** The path of its archive: `.ci/run` installs it, as 32 MB are too much for every clone. */
const jar = process.env.VNU_JAR;

export const test = testWith(
  jar !== undefined && Bun.which('java') !== null,
  'Java and the Nu HTML checker (VNU_JAR: the vnu.jar of the npm package vnu-jar)',
);

/** It ends before it would gain from the optimizing compiler, which takes half of its time. Without it, the checker needs more stack. */
const shortLived = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xss4m'];

/** htmx's attributes, and the slash that the renderer writes at the end of elements without an end tag. */
const expected = /^Attribute “hx-|^Trailing slash on void elements/;

type Message = { url: string; message: string; extract?: string };

/** What the checker finds in these pages, by name. */
export const findings = async (pages: Record<string, string>): Promise<string[]> => {
  const dir = await mkdtemp(join(tmpdir(), 'html-'));
  try {
    const names = Object.keys(pages);
    const files = names.map((_, index) => join(dir, `${index}.html`));
    await Promise.all(files.map((file, index) => Bun.write(file, pages[names[index] ?? ''] ?? '')));
    const checker = Bun.spawn(
      ['java', ...shortLived, '-jar', `${jar}`, '--format', 'json', '--exit-zero-always', ...files],
      {
        stdout: 'ignore',
        stderr: 'pipe',
      },
    );
    const report = await new Response(checker.stderr).text();
    if ((await checker.exited) !== 0) throw new Error(`the checker failed: ${report}`);
    const { messages } = JSON.parse(report) as { messages: Message[] };
    const found = messages
      .filter(({ message }) => !expected.test(message))
      .map(({ url, message, extract }) => {
        const name = names[files.findIndex((file) => url.endsWith(file))];
        return `${name}: ${message} (${extract?.trim() ?? ''})`;
      });
    return [...new Set(found)];
  } finally {
    await rm(dir, { recursive: true });
  }
};
