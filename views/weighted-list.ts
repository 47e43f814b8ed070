/** Browsers send 100 characters at most. What is longer is cut: it is read for each answer. */
const longest = 500;

/**
 * A header such as `Accept-Language: de, en;q=0.5` as its values, in lower case and in their order, each with its weight from 0
 * to 1, or NaN where that is none (RFC 9110, 12.4.2).
 */
export const weightedList = (header: string | null) =>
  (header ?? '')
    .slice(0, longest)
    .toLowerCase()
    .split(',')
    .map((part) => {
      const [value = '', ...parameters] = part.split(';').map((text) => text.trim());
      const weight = parameters.find((parameter) => parameter.startsWith('q='));
      return { value, weight: weight === undefined ? 1 : Number(weight.slice('q='.length)) };
    });
