/**
 * Reads a Dockerfile, as far as ours goes. What it does not know it refuses, so that a test of the image passes over
 * nothing in silence.
 */

export type Step =
  | { does: 'copy'; from: string | undefined; sources: string[]; to: string; workdir: string }
  | { does: 'run'; command: string; workdir: string; env: Record<string, string> };

export type Stage = {
  base: string;
  /** Other stages copy from it by this name. */
  name: string;
  steps: Step[];
  labels: Record<string, string>;
  env: Record<string, string>;
  workdir: string;
  /** uid:gid, or a name; root unless the stage says otherwise. */
  user: string;
  ports: number[];
  healthcheck: string[];
  command: string[];
};

/** Its stages, the last of which is the image. Throws an Error that shows the line it does not understand. */
export const readDockerfile = (text: string): Stage[] => {
  const stages: Stage[] = [];
  for (const line of linesOf(text)) {
    const [, instruction = '', rest = ''] = /^([A-Z]+)\s+(.+)$/.exec(line) ?? [];
    const stage = stages.at(-1);
    if (instruction === 'FROM') {
      const [, base = '', name = String(stages.length)] = match(/^(\S+)(?: AS (\S+))?$/, rest, line);
      stages.push({ ...emptyStage(), base, name });
      continue;
    }
    const read = Object.hasOwn(instructions, instruction) ? instructions[instruction] : undefined;
    if (!stage || !read) throw new Error(`not understood: ${line}`);
    read(stage, rest, line);
  }
  return stages;
};

const emptyStage = () => ({
  steps: [],
  labels: {},
  env: {},
  workdir: '/',
  user: 'root',
  ports: [],
  healthcheck: [],
  command: [],
});

const instructions: Record<string, (stage: Stage, rest: string, line: string) => void> = {
  WORKDIR: (stage, rest, line) => {
    stage.workdir = match(/^\/\S*$/, rest, line)[0];
  },
  ENV: (stage, rest, line) => Object.assign(stage.env, pairs(rest, line)),
  LABEL: (stage, rest, line) => Object.assign(stage.labels, pairs(rest, line)),
  USER: (stage, rest, line) => {
    stage.user = match(/^\S+$/, rest, line)[0];
  },
  EXPOSE: (stage, rest, line) => {
    stage.ports.push(Number(match(/^\d+$/, rest, line)[0]));
  },
  COPY: (stage, rest, line) => {
    const [, from, paths = ''] = match(/^(?:--from=(\S+) )?([^-[].*)$/, rest, line);
    const sources = paths.split(/\s+/);
    const to = sources.pop() ?? '';
    if (sources.length === 0) throw new Error(`not understood: ${line}`);
    stage.steps.push({ does: 'copy', from, sources, to, workdir: stage.workdir });
  },
  RUN: (stage, rest, line) => {
    const [command] = match(/^[^-[].*$/, rest, line);
    stage.steps.push({ does: 'run', command, workdir: stage.workdir, env: { ...stage.env } });
  },
  HEALTHCHECK: (stage, rest, line) => {
    stage.healthcheck = words(match(/^(?:--[a-z-]+=\S+\s+)*CMD (.*)$/, rest, line)[1], line);
  },
  CMD: (stage, rest, line) => {
    stage.command = words(rest, line);
  },
};

/** Without comments, and each with what continues it. */
const linesOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line !== '');

const match = (pattern: RegExp, text: string, line: string) => {
  const found = pattern.exec(text);
  if (!found) throw new Error(`not understood: ${line}`);
  return found;
};

const pairs = (text: string, line: string) => {
  const found = [...text.matchAll(/([\w.]+)=(?:"([^"\\$]*)"|([^\s"'\\$]+))(?:\s+|$)/g)];
  if (found.map(([all]) => all).join('') !== text) throw new Error(`not understood: ${line}`);
  return Object.fromEntries(found.map(([, name, quoted, bare]) => [name, quoted ?? bare ?? '']));
};

/** The exec form only: the other one puts a shell between the program and its signals. */
const words = (text: string | undefined, line: string): string[] => {
  if (!text?.startsWith('[')) throw new Error(`not understood: ${line}`);
  return JSON.parse(text);
};
