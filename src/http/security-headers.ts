type Sources = { script?: string[]; style?: string[]; img?: string[] };

/**
 * Of every HTML page: nothing is loaded from another host, nothing inline runs, no other page may frame it. A route that needs more
 * lists it, such as the hash of a script.
 */
export const securityHeaders = ({ script = [], style = [], img = [] }: Sources = {}) => ({
  'content-security-policy': [
    "default-src 'none'",
    ['script-src', "'self'", ...script].join(' '),
    ['style-src', "'self'", ...style].join(' '),
    ['img-src', "'self'", ...img].join(' '),
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
});

/**
 * Of every answer that is data: a browser that opens it shows it in no frame, runs nothing of it, and does not guess another type.
 * No more than that, as each header costs a lookup a few percent of its time.
 */
export const dataHeaders = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
};

/** The headers of data that is true only now. */
export const noStoreHeaders = { ...dataHeaders, 'cache-control': 'no-store' };
