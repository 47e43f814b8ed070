/** A person or program that may use the console. */
export type Operator = {
  name: string;
  token: string;
  /** Only for clients on this machine. */
  isLocal?: boolean;
};

const tokenBytes = 24;

/** The operator of a run on this machine, with a random token. */
export const createLocalOperator = (): Operator => ({
  name: 'local',
  token: Buffer.from(crypto.getRandomValues(new Uint8Array(tokenBytes))).toString('base64url'),
  isLocal: true,
});
