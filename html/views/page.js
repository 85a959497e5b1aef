// What the pages inside the frame share.

import { html, useEffect } from '/lib/preact.js';
import { t } from '/strings.js';
import { Button, Link } from '/ui.js';


// The head of a page; on a narrow screen it holds the way to the panels.
export function Head({ title, icon, sub, actions, show, panel, side }) {
  useEffect(() => { document.title = `${title} · ${t('app.name')}`; }, [title]);

  return html`
    <header class="head">
      <${Button} tone="quiet only-narrow" icon="menu" label=${t('nav.menu')}
        aria-expanded=${panel === 'nav'} aria-controls="nav" onClick=${() => show(panel === 'nav' ? null : 'nav')} />
      ${icon}
      <div class="head-title"><h1>${title}</h1>${sub && html`<p>${sub}</p>`}</div>
      <div class="head-actions">${actions}
        ${side && html`<${Button} tone="quiet only-not-wide" icon="people" label=${t('nav.side')}
          aria-expanded=${panel === 'side'} aria-controls="side"
          onClick=${() => show(panel === 'side' ? null : 'side')} />`}
      </div>
    </header>`;
}


export const Unknown = (rest) => html`
  <${Head} title=${t('unknown.title')} ...${rest} />
  <div class="page"><div class="empty"><p>${t('unknown.text')}</p>
    <${Link} href="/">${t('unknown.home')}</></div></div>`;
