import { readFileSync } from 'node:fs';
import type { AxeResults, RunOptions } from 'axe-core';

const source = readFileSync(Bun.resolveSync('axe-core/axe.min.js', import.meta.dir), 'utf8');
/** An expression that defines `axe` in a page. */
const axe = `(() => {${source}\n})()`;

/** What evaluates a script in a page, in whatever browser. */
type Evaluate = <Value>(script: string) => Promise<Value>;

/** What axe finds wrong with the page. */
export const violations = async (evaluate: Evaluate, options: RunOptions = {}) => {
  if (!(await evaluate<boolean>(`typeof axe === 'object'`))) await evaluate<void>(axe);
  const json = JSON.stringify({ resultTypes: ['violations'], ...options });
  const { violations } = await evaluate<AxeResults>(`axe.run(${json})`);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
};

/** The rules that another theme can break. */
export const colourRules: RunOptions = { runOnly: ['color-contrast', 'link-in-text-block'] };
