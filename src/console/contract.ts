import { tooManyWrongTokens } from '../http/bearer.ts';
import { type Operation, problemResponse, retryHeaders } from '../http/contract.ts';
import { internalServerErrorResponse } from '../http/failure.ts';
import { misdirectedResponse } from '../http/host.ts';
import { elsewhere, noToken } from './access.ts';

/** The name of the security scheme in the OpenAPI document. */
const scheme = 'operator';

export const securitySchemes = {
  [scheme]: {
    type: 'http',
    scheme: 'bearer',
    description: 'The token of an operator (`CONSOLE_TOKENS`)',
  },
};

const challengeHeaders = {
  'WWW-Authenticate': {
    description: 'The scheme',
    schema: { type: 'string' },
    example: noToken.headers['www-authenticate'],
  },
};

type Own = Omit<Operation, 'tags' | 'security'>;

/** The contract of a route of the console's API, with what every one of them answers. */
export const operation = ({ responses, ...own }: Own): Operation => ({
  ...own,
  tags: ['console'],
  security: [{ [scheme]: [] }],
  responses: {
    ...responses,
    401: problemResponse('No token, or one that no operator has', noToken.problem, challengeHeaders),
    403: problemResponse('The request comes from a page of another origin', elsewhere.problem),
    421: misdirectedResponse,
    429: problemResponse(
      'The client has sent too many requests (`RATE_LIMIT`) or too many wrong tokens',
      tooManyWrongTokens(6_000).problem,
      retryHeaders,
    ),
    500: internalServerErrorResponse,
  },
});

/** Schema of any text. */
export const text = { type: 'string' } as const;
