import { Html } from '@elysiajs/html';

/** Why nothing was done or found, if that is so. */
export const Refusal = ({ error }: { error: string | undefined }) =>
  error === undefined ? null : (
    <p class="error" role="alert" safe>
      {error}
    </p>
  );
