/** The length of the longest form: an IPv6 address with a zone, in brackets, with a port. */
const maxLength = 100;

/** An IP address: four numbers, or eight. An IPv4-mapped IPv6 address is IPv4. */
export type Address = { version: 4 | 6; parts: number[] };

/** Parses an IP address in any spelling, with or without brackets, zone and port; undefined for anything else. */
export const parseAddress = (text: string): Address | undefined => {
  const address = text.length > maxLength ? '' : withoutPort(text.trim());
  if (!address.includes(':')) {
    const parts = v4Of(address);
    return parts && { version: 4, parts };
  }
  const zone = address.indexOf('%');
  const parts = v6Of(zone === -1 ? address : address.slice(0, zone));
  if (!parts) return undefined;
  const [high, low] = parts.slice(6) as [number, number];
  const isMapped = parts.slice(0, 5).every((part) => part === 0) && parts[5] === 0xffff;
  return isMapped
    ? { version: 4, parts: [high >> 8, high & 0xff, low >> 8, low & 0xff] }
    : { version: 6, parts };
};

const withoutPort = (text: string) => {
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    return end === -1 || !isPort(text.slice(end + 1)) ? '' : text.slice(1, end);
  }
  const colon = text.indexOf(':');
  if (colon === -1 || colon !== text.lastIndexOf(':')) return text;
  return isPort(text.slice(colon)) ? text.slice(0, colon) : '';
};

const isPort = (text: string) => text === '' || /^:\d{1,5}$/.test(text);

const v4Of = (text: string): number[] | undefined => {
  const parts = text.split('.');
  const isByte = (part: string) => /^\d{1,3}$/.test(part) && Number(part) <= 255;
  return parts.length === 4 && parts.every(isByte) ? parts.map(Number) : undefined;
};

const v6Of = (text: string): number[] | undefined => {
  const [left = '', right, ...more] = text.split('::');
  const head = groupsOf(left);
  const tail = groupsOf(right ?? '');
  if (!head || !tail || more.length > 0) return undefined;
  const missing = 8 - head.length - tail.length;
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...Array<number>(missing).fill(0), ...tail];
};

/** The groups of one side of the `::`. The last two may be written as IPv4. */
const groupsOf = (text: string): number[] | undefined => {
  if (text === '') return [];
  const groups: number[] = [];
  const texts = text.split(':');
  for (const [index, group] of texts.entries()) {
    const v4 = index === texts.length - 1 && group.includes('.') ? v4Of(group) : undefined;
    if (v4) {
      const [a, b, c, d] = v4 as [number, number, number, number];
      groups.push((a << 8) | b, (c << 8) | d);
    } else if (/^[\da-f]{1,4}$/i.test(group)) groups.push(Number.parseInt(group, 16));
    else return undefined;
  }
  return groups;
};

/** Whether a host is this machine: a loopback address in any spelling, or `localhost` and the names below it (RFC 6761). */
export const isLoopback = (host: string): boolean => {
  const name = host.toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  const address = parseAddress(name);
  if (!address) return false;
  const { version, parts } = address;
  return version === 4 ? parts[0] === 127 : parts.join() === '0,0,0,0,0,0,0,1';
};
