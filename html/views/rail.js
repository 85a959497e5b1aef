// The communities, as a rail of tiles.

import { html, useState } from '/lib/preact.js';
import { channels } from '/channels.js';
import { useModel } from '/model.js';
import { useStore } from '/store.js';
import { t } from '/strings.js';
import { Avatar, Button, Hidden, Icon, Logo } from '/ui.js';
import { CreateTenant } from '/views/tenant.js';


export function Rail({ tenants, route }) {
  const [making, setMaking] = useState(false);
  const unread = useStore(channels, (s) => s.unread);
  const res = useModel((s) => s.res);

  // unread lines of a community: its lounge and its networks
  const count = (tenant) => (unread[`tenant:${tenant.id}`] ?? 0)
    + (res[`networks:${tenant.id}`]?.items ?? [])
      .reduce((sum, network) => sum + (unread[`network:${network.id}`] ?? 0), 0);

  const tile = (href, name, current, content, mark = 0) => html`
    <li><a class="tile" href=${href} title=${name} aria-current=${current ? 'page' : undefined}>
      ${content}<${Hidden}>${name}</>
      ${mark > 0 && html`<span class="mark"><${Hidden}>${t('rail.unread', { count: mark })}</></span>`}
    </a></li>`;

  return html`
    <nav class="rail" aria-label=${t('rail.label')}>
      <ul>
        ${tile('/', t('rail.home'), route.name === 'home', html`<${Logo} />`)}
      </ul>
      <ul class="tiles">
        ${tenants.map((tenant) => html`
          <${Tile} key=${tenant.id}>
            ${tile(`/t/${tenant.id}`, tenant.name, route.tenant === tenant.id,
              html`<${Avatar} name=${tenant.name} id=${tenant.id} />`, count(tenant))}
          </>`)}
        <li><${Button} tone="tile-button" icon="plus" label=${t('rail.create')}
          onClick=${() => setMaking(true)} /></li>
      </ul>
      <ul>
        ${tile('/devices', t('rail.devices'), route.name === 'devices', html`<${Icon} name="device" />`)}
        ${tile('/start', t('rail.start'), route.name === 'start', html`<${Icon} name="terminal" />`)}
      </ul>
      ${making && html`<${CreateTenant} onClose=${() => setMaking(false)} />`}
    </nav>`;
}


const Tile = ({ children }) => children;
