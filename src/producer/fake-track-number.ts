import type { AST } from '@eslint-community/regexpp';
import { hasLength } from '../order/field-kinds.ts';
import { columnLengths } from '../order/rules.ts';
import { characterOf, parseTrackPattern } from '../order/track-pattern.ts';

type Random = { from: (min: number, max: number) => number; oneOf: <T>(values: readonly T[]) => T };

/** Returns a function that makes track numbers of the pattern: `WBIL` and ten digits where it allows them. */
export const createTrackNumberMaker = (pattern: string, { from, oneOf }: Random) => {
  const elements = parseTrackPattern(pattern);
  const expression = new RegExp(pattern, 'u');

  const charactersOf = (element: AST.Element) => {
    const single = new RegExp(`^${element.raw}$`, 'u');
    const matching = Array.from({ length: 0x500 - 0x21 }, (_, at) => String.fromCharCode(0x21 + at)).filter(
      (character) => single.test(character),
    );
    const usual = matching.filter((character) => /[A-Z0-9]/.test(character));
    if (usual.length > 0) return usual;
    return matching.length > 0 ? matching : [characterOf(element)];
  };
  const cached = new Map<AST.Element, string[]>();
  const randomCharacterOf = (element: AST.Element) => {
    const known = cached.get(element) ?? charactersOf(element);
    cached.set(element, known);
    return oneOf(known);
  };

  /** With `more`, a repetition may be longer than the least. */
  const make = (parts: readonly AST.Element[], more: boolean): string =>
    parts
      .map((part) => {
        if (part.type === 'Group' || part.type === 'CapturingGroup')
          return make(oneOf(part.alternatives).elements, more);
        if (part.type !== 'Quantifier') return randomCharacterOf(part);
        const { min, max, element } = part;
        const count = more ? from(min, Math.min(max, min + 4)) : min;
        return Array.from({ length: count }, () => make([element], more)).join('');
      })
      .join('');

  return (): string => {
    const usual = `WBIL${from(1_000_000_000, 9_999_999_999)}`;
    if (expression.test(usual)) return usual;
    // Long ones may not fit, and short ones may be empty, as the pattern allows both.
    for (let more = true; ; more = !more) {
      const made = make(elements, more);
      if (hasLength(made, 1, columnLengths.trackNumber)) return made;
    }
  };
};
