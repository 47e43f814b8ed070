/** Deeper levels are not indented further: the output could grow quadratically. */
const maxIndentedLevels = 50;

const whitespace = ' \t\n\r';
const punctuation = '[]{},:';

/** The end of the JSON token that begins at `at`. Not a regular expression, as a string may have 16 MB. */
const endOf = (text: string, at: number): number => {
  const first = text[at] as string;
  if (punctuation.includes(first)) return at + 1;
  let end = at + 1;
  if (first === '"') {
    while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
    return end + 1;
  }
  while (
    end < text.length &&
    !punctuation.includes(text[end] as string) &&
    !whitespace.includes(text[end] as string)
  )
    end++;
  return end;
};

/**
 * Indents JSON text and changes nothing else: JSON.parse and JSON.stringify would round large numbers and drop duplicate keys.
 * Undefined if the text is not JSON. Stops soon after `maxLength` characters, since indented brackets take a multiple of their length.
 */
export const prettyJson = (text: string, maxLength = Number.POSITIVE_INFINITY): string | undefined => {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const parts: string[] = [];
  let length = 0;
  let depth = 0;
  let before = '';
  const add = (...more: string[]) => {
    for (const part of more) {
      parts.push(part);
      length += part.length;
    }
  };
  const line = () => `\n${'  '.repeat(Math.min(depth, maxIndentedLevels))}`;
  for (let at = 0; at < text.length && length <= maxLength; ) {
    if (whitespace.includes(text[at] as string)) {
      at++;
      continue;
    }
    const end = endOf(text, at);
    const token = text.slice(at, end);
    at = end;
    const isEmpty = (before === '{' && token === '}') || (before === '[' && token === ']');
    if (token === '}' || token === ']') depth -= 1;
    if (isEmpty) add(token);
    else if (token === '}' || token === ']') add(line(), token);
    else if (before === '{' || before === '[' || before === ',') add(line(), token);
    else add(token);
    if (token === ':') add(' ');
    if (token === '{' || token === '[') depth += 1;
    before = token;
  }
  return parts.join('');
};
