// Imported with `{ type: 'text' }`, whatever they contain.
declare module 'swagger-ui-dist/swagger-ui-bundle.js' {
  const text: string;
  export default text;
}
