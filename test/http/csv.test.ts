import { expect, test } from 'bun:test';
import { toCell } from '../../src/http/csv.ts';

test.each([
  ['=1+1', "'=1+1"],
  ['+79771234567', "'+79771234567"],
  ['-2', "'-2"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['\t=1', `"'\t=1"`],
  [' =1', "' =1"],
  ['\u200b=1', "'\u200b=1"],
  ['＝1', "'＝1"],
  ['=cmd|" /C calc"!A0', `"'=cmd|"" /C calc""!A0"`],
  ['a,b', '"a,b"'],
  ['a;b', '"a;b"'],
  ['a"b', '"a""b"'],
  ['a\r\nb', '"a\r\nb"'],
  ['Anna Петрова', 'Anna Петрова'],
  [-5, '-5'],
])('in a cell of a CSV file, %j is %j', (value, cell) => {
  expect(toCell(value)).toBe(cell);
});
