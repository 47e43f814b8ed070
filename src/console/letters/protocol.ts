import type { LetterOperations, LetterSettings, Progress } from '../../dead-letters/operations.ts';

export type OperationName = keyof LetterOperations;
export type Input<Name extends OperationName> = Parameters<LetterOperations[Name]>[0];
export type Result<Name extends OperationName> = Awaited<ReturnType<LetterOperations[Name]>>;

export type ToThread =
  | { type: 'start'; settings: LetterSettings }
  | { type: 'call'; id: number; name: OperationName; input: unknown }
  | { type: 'cancel'; id: number };

export type FromThread =
  | { type: 'progress'; id: number; progress: Progress }
  | { type: 'result'; id: number; result: unknown }
  /** `message`: of the error; it may quote a letter. `isUnavailable`: Kafka did not answer. */
  | { type: 'failed'; id: number; message: string; isUnavailable: boolean };
