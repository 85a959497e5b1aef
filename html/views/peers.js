// The devices of a network, their addresses and whether they are on line.

import { html } from '/lib/preact.js';
import { load, useResource } from '/model.js';
import { ago, t } from '/strings.js';
import { CopyButton, Dot, Empty, Failed, Link, Loading } from '/ui.js';

// addresses as numbers, so that .9 stands before .10
const number = (address) => (address ?? '').split('.')
  .reduce((sum, part) => sum * 256 + Number(part), 0);


export function Peers({ network, me }) {
  const key = `peers:${network.id}`;
  const peers = useResource(key);

  if (peers.status === 'failed') {
    return html`<${Failed} error=${peers.error} again=${() => load(key)} />`;
  }
  if (peers.status !== 'ready') return html`<${Loading} />`;

  const list = [...peers.items].sort((a, b) => Number(b.online) - Number(a.online)
    || number(a.ip_address) - number(b.ip_address));
  const start = `/start?network=${network.id}&tenant=${network.tenant_id}`;

  if (!list.length) {
    return html`
      <${Empty} icon="device" title=${t('peers.empty.title')} level=3>
        <p>${t('peers.empty.text')}</p>
        <${Link} tone="primary" href=${start}>${t('peers.connect')}</>
      </>`;
  }

  return html`
    <p class="range muted">${t('network.range', { cidr: network.cidr })}</p>
    <ul class="peers">
      ${list.map((peer) => html`
        <li key=${peer.id} class=${`peer ${peer.online ? '' : 'offline'}`}>
          <${Dot} on=${peer.online} />
          <div class="peer-text">
            <strong>${peer.name}</strong>
            <span class="muted">${peer.user_id === me.id ? t('peers.mine') : peer.username}${peer.online ? '' : html` · ${
              peer.last_seen ? t('status.seen', { when: ago(new Date(peer.last_seen)) }) : t('status.never')}`}</span>
            <code>${peer.ip_address}</code>
          </div>
          <${CopyButton} text=${peer.ip_address} label=${t('peers.copy', { address: peer.ip_address })} />
        </li>`)}
    </ul>
    <p class="pad"><${Link} tone="wide" icon="plus" href=${start}>${t('peers.connect')}</></p>`;
}
