import { expect, test } from 'bun:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { openConsole } from '../support/open-console.ts';

type Operation = { security?: object[]; tags: string[]; responses: Record<string, object> };

const { get, app } = openConsole({ docs: true });
const document = (await (await get('/swagger/json')).json()) as {
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: Record<string, object> };
};

test('the document with the console is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(document) as never);
  expect(result.errors).toBeUndefined();
  expect(result.valid).toBe(true);
});

test('every route of the API is in it, needs a token, and says what it answers without one', () => {
  const routes = app.routes.filter(({ path }) => path.startsWith('/console/api/'));
  expect(routes.length).toBeGreaterThan(4);
  for (const { method, path } of routes) {
    const operation = document.paths[path]?.[method.toLowerCase()] as Operation;
    expect([method, path, operation?.security]).toEqual([method, path, [{ operator: [] }]]);
    expect(operation.tags).toEqual(['console']);
    for (const status of ['401', '403', '429', '500']) expect(operation.responses).toHaveProperty(status);
  }
  expect(Object.keys(document.components.securitySchemes)).toEqual(['operator']);
});

test('pages are not in it', () => {
  const pages = Object.keys(document.paths).filter(
    (path) => path.startsWith('/console') && !path.startsWith('/console/api/'),
  );
  expect(pages).toEqual([]);
});
