import { Html } from '@elysiajs/html';
import { literal } from '../view.ts';
import { type ConsoleAssets, ConsoleLayout } from './layout.tsx';
import type { ConsoleView } from './view.ts';

type LoginProps = {
  view: ConsoleView;
  assets: ConsoleAssets;
  /** Why the request was refused; undefined for a first visit. */
  error: 'wrongToken' | 'tooManyTokens' | 'elsewhere' | undefined;
  /** The page to go to after the login, as `address` of the view. */
  next: string;
};

export const Login = ({ view, assets, error, next }: LoginProps) => {
  const { words } = view;
  return (
    <ConsoleLayout view={view} assets={assets} title={words.logIn}>
      {error === undefined ? (
        <p class="hint" safe>
          {words.loginHint}
        </p>
      ) : (
        <p class="error" id="error" role="alert" safe>
          {words[error]}
        </p>
      )}
      <form method="post" action="login" class="login">
        <input type="hidden" name="next" value={literal(next)} />
        <input type="text" name="username" value={words.console} autocomplete="username" readonly hidden />
        <label for="token" safe>
          {words.token}
        </label>
        <input
          id="token"
          name="token"
          type="password"
          class="code"
          required
          autofocus
          autocomplete="current-password"
          aria-describedby={error === undefined ? undefined : 'error'}
        />
        <button type="submit" safe>
          {words.logIn}
        </button>
      </form>
    </ConsoleLayout>
  );
};
