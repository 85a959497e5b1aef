// The networks of a community, and who I am.

import { html, useState } from '/lib/preact.js';
import { channels } from '/channels.js';
import { connection, load, signOut, useResource } from '/model.js';
import { atLeast } from '/roles.js';
import { useStore } from '/store.js';
import { t } from '/strings.js';
import { nextTheme, theme } from '/theme.js';
import { Avatar, Button, Failed, Hidden, Icon, Link, Loading, useAction } from '/ui.js';
import { Invite } from '/views/invites.js';
import { CreateNetwork } from '/views/network.js';


export const Sidebar = ({ tenant, route, me }) => html`
  <div class="sidebar">
    ${tenant ? html`<${Tenant} key=${tenant.id} tenant=${tenant} route=${route} />`
      : html`<div class="sidebar-head"><strong>${t('app.name')}</strong></div>
        <nav class="channels" aria-label=${t('rail.home')}><ul>
          ${[['/', 'home', 'mesh', 'rail.home'], ['/devices', 'devices', 'device', 'rail.devices'],
            ['/start', 'start', 'terminal', 'rail.start']].map(([href, name, icon, key]) => html`
            <li key=${href}><a class="channel" href=${href} aria-current=${route.name === name ? 'page' : undefined}>
              <${Icon} name=${icon} /><span>${t(key)}</span></a></li>`)}
        </ul></nav>`}
    <${Me} me=${me} />
  </div>`;


function Tenant({ tenant, route }) {
  const networks = useResource(tenant.role ? `networks:${tenant.id}` : null);
  const unread = useStore(channels, (s) => s.unread);
  const [dialog, setDialog] = useState(null);
  const admin = atLeast(tenant.role, 'admin');

  const channel = (href, current, key, icon, name, note) => html`
    <li key=${key}><a class=${`channel ${unread[key] ? 'unread' : ''}`} href=${href}
      aria-current=${current ? 'page' : undefined}>
      <${Icon} name=${icon} /><span>${name}</span>${note}
      ${unread[key] > 0 && html`<b class="count">${Math.min(unread[key], 99)}<${Hidden}> ${t('rail.unread', { count: '' })}</></b>`}
    </a></li>`;

  return html`
    <div class="sidebar-head">
      <div><strong>${tenant.name}</strong>
        <p>${t('tenant.members', { count: tenant.member_count })}</p></div>
      ${admin && html`<${Link} tone="quiet" icon="sliders" href=${`/t/${tenant.id}/settings`}
        aria-current=${route.name === 'settings' ? 'page' : undefined}
        label=${t('nav.settings', { name: tenant.name })} />`}
    </div>
    ${tenant.role && html`
      <nav class="channels" aria-label=${tenant.name}>
        ${admin && html`<${Button} tone="wide invite-button" icon="link" onClick=${() => setDialog('invite')}>
          ${t('nav.invite')}</>`}
        <h2>${t('nav.chat')}</h2>
        <ul>${channel(`/t/${tenant.id}`, route.name === 'tenant', `tenant:${tenant.id}`, 'hash',
          t('nav.lounge'))}</ul>
        <div class="channels-head"><h2>${t('nav.networks')}</h2>
          ${admin && html`<${Button} tone="quiet small" icon="plus" label=${t('nav.networks.new')}
            onClick=${() => setDialog('network')} />`}</div>
        ${networks.status === 'ready' ? html`
          <ul>${networks.items.map((network) => channel(
            `/t/${tenant.id}/n/${network.id}`, route.network === network.id,
            `network:${network.id}`, network.joined ? 'mesh' : 'lock', network.name,
            network.joined ? '' : html`<${Hidden}>${t('nav.notjoined')}</>`))}</ul>
          ${networks.items.length === 0 && html`<p class="muted pad">
            ${t(admin ? 'nav.networks.empty.admin' : 'nav.networks.empty')}</p>`}`
          : networks.status === 'failed' ? html`<${Failed} error=${networks.error}
              again=${() => load(`networks:${tenant.id}`)} />`
            : html`<${Loading} />`}
      </nav>`}
    ${dialog === 'invite' && html`<${Invite} tenant=${tenant} network=${route.network}
      onClose=${() => setDialog(null)} />`}
    ${dialog === 'network' && html`<${CreateNetwork} tenant=${tenant} onClose=${() => setDialog(null)} />`}`;
}


function Me({ me }) {
  const { status, away } = useStore(connection, (s) => s);
  const { name } = useStore(theme, (s) => s);
  const [logout, busy] = useAction(signOut);
  const state = status === 'live' ? 'live' : away ? 'away' : 'connecting';

  return html`
    <div class="me">
      <${Avatar} name=${me.username} id=${me.id} />
      <div class="me-name"><strong>${me.username}</strong>
        <p class=${`connection ${state}`} role="status"><i class="pulse" aria-hidden="true"></i>${t(`nav.${state}`)}</p></div>
      <${Button} tone="quiet" icon=${name} label=${t(`app.theme.${name}`)} onClick=${nextTheme} />
      <${Button} tone="quiet" icon="leave" label=${t('auth.logout')} busy=${busy} onClick=${logout} />
    </div>`;
}
