// The frame around every page of somebody signed in: communities at the left,
// networks beside them, the page, and on a narrow screen a way to each.

import { html, useEffect, useRef, useState } from '/lib/preact.js';
import { retryNow } from '/live.js';
import { connection, useModel, useResource } from '/model.js';
import { useStore } from '/store.js';
import { t } from '/strings.js';
import { Button, Loading } from '/ui.js';
import { Device } from '/views/device.js';
import { Devices } from '/views/devices.js';
import { Home } from '/views/home.js';
import { Network } from '/views/network.js';
import { Unknown } from '/views/page.js';
import { Rail } from '/views/rail.js';
import { Settings } from '/views/settings.js';
import { Sidebar } from '/views/sidebar.js';
import { Start } from '/views/start.js';
import { Lounge, Pending } from '/views/tenant.js';

const SHOW_AWAY_MS = 1200;            // a short gap is not worth a banner


export function Shell({ route }) {
  const [panel, setPanel] = useState(null);       // 'nav' or 'side' on top
  const tenants = useResource('tenants');
  const me = useModel((s) => s.me);
  const tenant = tenants.items.find((one) => one.id === route.tenant);
  const main = useRef();
  const opener = useRef();
  const first = useRef(true);

  function show(name) {
    if (name) opener.current = document.activeElement;
    setPanel(name);
  }

  useEffect(() => {
    setPanel(null);
    if (first.current) first.current = false;
    else main.current?.focus();
  }, [route.path]);

  useEffect(() => {
    if (!panel) return undefined;

    const onKey = (event) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) {
        setPanel(null);
        opener.current?.focus();
      }
    };

    document.querySelector(panel === 'nav' ? '.nav a' : '.side button, .side a')?.focus();
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [panel]);

  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>
      ${t('app.skip')}</a>
    <div class="shell" data-panel=${panel ?? ''}>
      <${Banner} />
      <div class="nav" id="nav" role="region" aria-label=${t('nav.menu')}>
        <${Rail} tenants=${tenants.items} route=${route} />
        <${Sidebar} tenant=${tenant} route=${route} me=${me} />
      </div>
      ${panel && html`<div class="backdrop" onClick=${() => setPanel(null)}></div>`}
      <main class="main" id="main" tabIndex="-1" ref=${main}>
        <${Page} route=${route} tenant=${tenant} tenants=${tenants} me=${me}
          panel=${panel} show=${show} />
      </main>
    </div>`;
}


function Page({ route, tenant, tenants, ...rest }) {
  if (route.tenant && !tenant) {
    return tenants.status === 'loading' || tenants.status === 'none'
      ? html`<${Loading} />` : html`<${Unknown} ...${rest} />`;
  }
  if (tenant && !tenant.role) return html`<${Pending} tenant=${tenant} ...${rest} />`;

  switch (route.name) {
    case 'home': return html`<${Home} tenants=${tenants} ...${rest} />`;
    case 'tenant': return html`<${Lounge} key=${tenant.id} tenant=${tenant} ...${rest} />`;
    case 'network': return html`<${Network} key=${route.network} id=${route.network} tenant=${tenant} ...${rest} />`;
    case 'settings': return html`<${Settings} key=${tenant.id} tenant=${tenant} ...${rest} />`;
    case 'device': return html`<${Device} ...${rest} />`;
    case 'devices': return html`<${Devices} ...${rest} />`;
    case 'start': return html`<${Start} ...${rest} />`;
    default: return html`<${Unknown} ...${rest} />`;
  }
}


// Says that the server is away, once it is for longer than a blink.
function Banner() {
  const { status, away, retryAt } = useStore(connection, (s) => s);
  const [shown, setShown] = useState(false);
  const [now, setNow] = useState(Date.now());

  useEffect(() => {
    if (!away) {
      setShown(false);
      return undefined;
    }
    const timer = setTimeout(() => setShown(true), SHOW_AWAY_MS);
    return () => clearTimeout(timer);
  }, [away]);

  useEffect(() => {
    if (!shown) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [shown, retryAt]);

  const seconds = retryAt ? Math.max(0, Math.ceil((retryAt - now) / 1000)) : 0;

  return html`
    <div class="banner-place">
      ${shown && html`
        <div class="banner">
          <strong role="alert">${t('away.title')}</strong>
          <span>${status === 'waiting' && seconds ? t('away.retry', { seconds }) : t('away.now')}</span>
          <${Button} onClick=${retryNow}>${t('away.button')}</>
        </div>`}
    </div>`;
}


