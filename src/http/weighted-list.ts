/** Longer headers are cut, as they are parsed for each response; browsers send at most 100 characters. */
const maxLength = 500;

/**
 * The values of a header such as `Accept-Language: de, en;q=0.5`, in lower case and in order, each with its weight from 0 to 1; NaN for
 * an invalid weight (RFC 9110, 12.4.2).
 */
export const weightedList = (header: string | null) =>
  (header ?? '')
    .slice(0, maxLength)
    .toLowerCase()
    .split(',')
    .map((part) => {
      const [value = '', ...parameters] = part.split(';').map((text) => text.trim());
      const weight = parameters.find((parameter) => parameter.startsWith('q='));
      return { value, weight: weight === undefined ? 1 : Number(weight.slice('q='.length)) };
    });
