type Sources = { script?: string[]; style?: string[]; img?: string[] };

/**
 * The headers that every answer carries. Nothing is loaded from another host, nothing inline runs, nothing may frame
 * us. A route that needs more names it, such as the hash of a script it cannot do without.
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
 * For an answer that is data and no page: a browser that is led to it shows it in no frame, runs nothing of it, and does not
 * take it for anything else. No more than that, as each header costs a lookup a few percent of its time.
 */
export const dataHeaders = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
};
