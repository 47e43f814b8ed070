/** Whether the request changes nothing. */
export const isRead = ({ method }: Request): boolean => method === 'GET' || method === 'HEAD';
