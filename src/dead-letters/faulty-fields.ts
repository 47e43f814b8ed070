import { faultsIn } from '../order/faults.ts';
import type { Letter } from './letter.ts';

/** In characters, of the reason that fields are read from: more than the longest one of this program. */
const maxSummarizedLength = 5_000;

/** The fields of the order that the reason names, each once: `items.*.price` stands for that of any item. */
export const faultyFieldsOf = ({ stage, reason = '' }: Pick<Letter, 'stage' | 'reason'>): string[] => {
  if (stage !== 'validate') return [];
  const named = faultsIn(reason.slice(0, maxSummarizedLength)).flatMap((fault) => {
    const [, field] = /^([a-z_][\w.]{0,80}) (?:must|is|has|does|contains)\b/.exec(fault) ?? [];
    return field === undefined ? [] : [field.replace(/\.\d+(?=\.|$)/g, '.*')];
  });
  return [...new Set(named)];
};
