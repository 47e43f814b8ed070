import { Html } from '@elysiajs/html';
import { type Assets, Layout } from './layout.tsx';
import { Live } from './live.tsx';
import { Message, Result, titleOf } from './result.tsx';
import { type Finding, linkToFinding, literal, type Shown, type View } from './view.ts';

/** `liveWorker`: the script of the live list's worker; undefined without a live list. */
type PageProps = { view: View; finding: Shown; assets: Assets; liveWorker: string | undefined };

/** The whole page: the field, the result of the lookup, and the live list. */
export const Page = ({ view, finding, assets, liveWorker }: PageProps) => {
  const { text } = view;
  const hasMessage = !['empty', 'found', 'several'].includes(finding.state);
  const isWrong = ['notFound', 'malformed', 'shortened', 'tooMany'].includes(finding.state);
  return (
    <Layout view={view} assets={assets} title={titleOf(view, finding)} address={linkToFinding(finding)}>
      <search>
        <form
          id="lookup"
          action="./"
          method="get"
          hx-get="./"
          hx-target="#result"
          hx-sync="this:replace"
          autocomplete="off"
        >
          <label class="visually-hidden" for="uid" safe>
            {text.number}
          </label>
          <span class="field">
            <input
              id="uid"
              name="uid"
              class="code"
              value={literal(finding.given)}
              placeholder={text.number}
              autofocus={finding.state !== 'found' && finding.state !== 'several'}
              aria-invalid={isWrong ? 'true' : undefined}
              aria-describedby={hasMessage ? 'message' : undefined}
              autocapitalize="off"
              autocorrect="off"
              spellcheck="false"
              enterkeyhint="search"
            />
          </span>
          <button type="submit" safe>
            {text.find}
          </button>
        </form>
      </search>
      <nav id="recent" class="needs-script" aria-label={text.recent}>
        <span aria-hidden="true" safe>
          {text.recent}
        </span>
        <ul></ul>
        <button type="button" class="quiet" hidden aria-label={text.forgetRecent} safe>
          {text.forget}
        </button>
      </nav>
      <p id="status" class="visually-hidden" role="status"></p>
      <section id="result" hx-history-elt aria-label={text.order}>
        <Result view={view} finding={finding} />
      </section>
      {liveWorker === undefined ? null : <Live view={view} worker={liveWorker} />}
      {(['failed', 'offline', 'tooMany', 'tooLong', 'tooOften'] as const).map((state) => (
        <template id={state}>
          <Message view={view} state={state} />
        </template>
      ))}
    </Layout>
  );
};

/** The part of the page that a lookup changes; htmx also reads the title from it. */
export const Fragment = ({ view, finding }: { view: View; finding: Finding }) => (
  <>
    <title safe>{titleOf(view, finding)}</title>
    <Result view={view} finding={finding} />
  </>
);
