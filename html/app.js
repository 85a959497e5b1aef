// The dashboard: which page for which address, and who may see it.

import { html, render, useEffect, useState } from '/lib/preact.js';
import { adopt, session } from '/session.js';
import { start, stop, useModel } from '/model.js';
import { navigate, safeNext, startRouter, useRoute } from '/router.js';
import { explain, t } from '/strings.js';
import { useStore } from '/store.js';
import { applyTheme } from '/theme.js';
import { Button, Loading, Logo, Toasts } from '/ui.js';
import { Accept } from '/views/accept.js';
import { Login, Register, Reset } from '/views/auth.js';
import { Shell } from '/views/shell.js';

const BOOT_RETRY_MS = 3000;


// Follows the session: starts the model when somebody signs in, stops it when
// the session ends.
function useBoot() {
  const chain = useStore(session, (s) => s.tokens?.chain);
  const [state, setState] = useState({ chain: null, error: null });
  const [round, again] = useState(0);

  useEffect(() => {
    if (!chain) {
      stop();
      setState({ chain: null, error: null });
      return undefined;
    }

    let current = true;
    let timer;

    start().then(
      () => current && setState({ chain, error: null }),
      (error) => {
        if (!current) return;
        setState({ chain: null, error });
        timer = setTimeout(() => again((n) => n + 1), BOOT_RETRY_MS);
      },
    );
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [chain, round]);

  return { signedIn: Boolean(chain), ready: chain && state.chain === chain,
    error: state.error, again: () => again((n) => n + 1) };
}


function App() {
  const route = useRoute();
  const boot = useBoot();
  const me = useModel((s) => s.me);

  // the login page knows where to go back to
  useEffect(() => {
    if (!boot.signedIn && !route.public) {
      const to = location.pathname + location.search;
      const back = to === '/' ? '' : `?next=${encodeURIComponent(to)}`;
      navigate(`/login${back}`, { replace: true });
    } else if (boot.ready && (route.name === 'login' || route.name === 'register')) {
      navigate(safeNext(route.query.get('next')), { replace: true });
    }
  }, [boot.signedIn, boot.ready, route]);

  if (route.name === 'accept') {
    return html`<${Accept} key=${route.code} code=${route.code} me=${boot.ready ? me : null}
      waiting=${boot.signedIn && !boot.ready} />`;
  }
  if (route.name === 'reset') return html`<${Reset} />`;
  if (!boot.signedIn) {
    return route.name === 'register' ? html`<${Register} />` : html`<${Login} />`;
  }
  if (!boot.ready || !me) {
    return boot.error ? html`<${Away} error=${boot.error} again=${boot.again} />`
      : html`<main class="splash"><${Logo} /><${Loading} /></main>`;
  }
  return html`<${Shell} route=${route} />`;
}


const Away = ({ error, again }) => html`
  <main class="splash">
    <${Logo} />
    <h1>${t('away.title')}</h1>
    <p role="status">${error.status ? explain(error) : t('away.boot')}</p>
    <${Button} tone="primary" onClick=${again}>${t('away.button')}</>
  </main>`;


applyTheme();
startRouter();
await adopt();

const root = document.getElementById('app');

root.textContent = '';
render(html`<${App} /><${Toasts} />`, root);
