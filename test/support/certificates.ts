/** Certificates for the tests of TLS, made with openssl; valid for a day, in a folder that goes with the scope. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasOpenssl = Bun.which('openssl') !== null;

/** Paths of PEM files. */
export type Certificate = { cert: string; key: string };

const openssl = async (...args: string[]) => {
  const child = Bun.spawn(['openssl', ...args], { stdout: 'ignore', stderr: 'pipe' });
  const errors = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`openssl ${args[0]}: ${errors}`);
};

export const makeCertificates = async () => {
  const dir = await mkdtemp(join(tmpdir(), 'certificates-'));
  const make = async (name: string, ...args: string[]): Promise<Certificate> => {
    const [cert, key] = [join(dir, `${name}.pem`), join(dir, `${name}.key`)];
    const fresh = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
    await openssl('req', ...fresh, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert, ...args);
    return { cert, key };
  };
  return {
    dir,
    /** Signs others; a certificate of its own, too. */
    authority: (name: string) => make(name, '-addext', 'basicConstraints=critical,CA:TRUE'),
    /** For hosts as a certificate has them, such as `DNS:localhost` and `IP:127.0.0.1`. */
    signed: (by: Certificate, name: string, hosts: string) =>
      make(
        name,
        ...['-CA', by.cert, '-CAkey', by.key, '-addext', 'basicConstraints=critical,CA:FALSE'],
        ...['-addext', `subjectAltName=${hosts}`],
      ),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
};
