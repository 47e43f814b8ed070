import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';

/** The text of a PEM file, of which the setting holds the path. */
export const pemFile = {
  allowed: 'the path of a PEM file that can be read',
  read: (path: string) => {
    try {
      const text = readFileSync(path, 'utf8');
      return text.includes('-----BEGIN ') ? text : undefined;
    } catch {
      return undefined;
    }
  },
};

/** Bun reads the file for every thread before the program runs; this checks that it did. */
export const extraAuthorities = {
  allowed:
    'the path of a PEM file that can be read; in the environment itself, as a file .env is read too late',
  read: (path: string) => (getCACertificates('extra').length > 0 ? path : undefined),
};
