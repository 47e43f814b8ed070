/** For a program without arguments: prints `usage` for `--help`, and rejects any other argument with status 2. */
export const takeNoArguments = (usage: string): void => {
  const [argument] = process.argv.slice(2);
  if (argument === undefined) return;
  if (argument === '--help' || argument === '-h') {
    console.log(usage);
    process.exit(0);
  }
  console.error(`${JSON.stringify(argument)} is not allowed. ${usage}`);
  process.exit(2);
};
