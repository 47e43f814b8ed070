/** A form's fields. A body that is no form has none. */
export const readForm = async (request: Request) => {
  const form = await request.formData().catch(() => new FormData());
  const text = (name: string) => {
    const value = form.get(name);
    return typeof value === 'string' ? value : '';
  };
  const texts = (name: string) => form.getAll(name).filter((value) => typeof value === 'string');
  return { text, texts };
};
