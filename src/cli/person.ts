const matching = (pattern: RegExp) => (text: string) => (pattern.test(text) ? text : undefined);

/** Options that hold what the data of a person is found by. */
export const person = {
  phone: {
    value: 'PHONE',
    allowed: 'a phone number with + and 5 to 15 digits, such as "+7 900 000-00-00"',
    read: (text: string) =>
      text.length > 50 ? undefined : matching(/^\+\d{5,15}$/)(text.replace(/[ ().-]/g, '')),
  },
  email: {
    value: 'ADDRESS',
    allowed: 'an email address of at most 100 characters',
    read: (text: string) =>
      text.length <= 100 && text.includes('@') && !text.includes('\0') ? text : undefined,
  },
  customer: {
    value: 'ID',
    allowed: 'a customer_id of 1 to 50 characters',
    read: (text: string) => (text.includes('\0') ? undefined : matching(/^.{1,50}$/u)(text)),
  },
};
