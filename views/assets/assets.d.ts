/** Files that are imported as text (`with { type: 'text' }`). */
declare module '*.css' {
  const text: string;
  export default text;
}
declare module '*.svg' {
  const text: string;
  export default text;
}
declare module '*.min.js' {
  const text: string;
  export default text;
}
declare module '*/page.js' {
  const text: string;
  export default text;
}
declare module '*/live.js' {
  const text: string;
  export default text;
}
declare module '*/console.js' {
  const text: string;
  export default text;
}
declare module '*/live-stream.js' {
  const text: string;
  export default text;
}
declare module '*/live-worker.js' {
  const text: string;
  export default text;
}
declare module '*/plots.js' {
  const text: string;
  export default text;
}
