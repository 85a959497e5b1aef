// First steps: the two commands that put a device on a network.

import { html, useState } from '/lib/preact.js';
import { useResource } from '/model.js';
import { atLeast } from '/roles.js';
import { useRoute } from '/router.js';
import { t } from '/strings.js';
import { Button, Command, Loading } from '/ui.js';
import { DeviceList, useDevices } from '/views/devices.js';
import { Invite } from '/views/invites.js';
import { Head } from '/views/page.js';


export function Start(rest) {
  const devices = useDevices();
  const tenants = useResource('tenants');
  const { query } = useRoute();
  const [inviting, setInviting] = useState(false);

  const mine = tenants.items.filter((tenant) => atLeast(tenant.role, 'admin'));
  const tenant = mine.find((one) => one.id === query.get('tenant')) ?? mine[0];

  return html`
    <${Head} title=${t('start.title')} ...${rest} />
    <div class="page">
      <p class="lead">${t('start.text')}</p>
      <ol class="steps">
        <li><h2>${t('start.step.1')}</h2>
          <${Command} text=${`sudo goconnect login ${location.origin}`} />
          <p class="muted">${t('start.step.1.text')}</p></li>
        <li><h2>${t('start.step.2')}</h2>
          <${Command} text=${`sudo goconnect join ${location.origin}/i/CODE`} />
          <p class="muted">${t('start.step.2.text')}</p>
          ${tenant && html`<p><${Button} icon="link" onClick=${() => setInviting(true)}>
            ${t('start.step.2.network')}</></p>`}</li>
      </ol>
      <h2>${t('start.done')}</h2>
      ${devices.status !== 'ready' ? html`<${Loading} />`
        : devices.items.length ? html`<${DeviceList} devices=${devices.items} plain />`
          : html`<p class="note" role="status"><span class="spinner" aria-hidden="true"></span> ${t('start.waiting')}</p>`}
      <p>${t('start.check')}</p>
      <${Command} text="goconnect status" />
      ${inviting && html`<${Invite} tenant=${tenant} network=${query.get('network')}
        onClose=${() => setInviting(false)} />`}
    </div>`;
}
