// First steps: the command, and the code that it shows.

import { html, useEffect, useState } from '/lib/preact.js';
import { load, resource, useModel, useResource } from '/model.js';
import { useRoute } from '/router.js';
import { t } from '/strings.js';
import { Command, Field, Link, Loading } from '/ui.js';
import { DeviceList, useDevices } from '/views/devices.js';
import { Head } from '/views/page.js';

const TENANTS_MAX = 20;               // whose networks are looked up


// All networks that one could put a device on: [{tenant, network}]
export function useNetworks() {
  const tenants = useResource('tenants').items.filter((tenant) => tenant.role)
    .slice(0, TENANTS_MAX);
  const res = useModel((s) => s.res);
  const ids = tenants.map((tenant) => tenant.id).join();

  useEffect(() => {
    for (const { id } of tenants) {
      if (resource(`networks:${id}`).status === 'none') load(`networks:${id}`);
    }
  }, [ids]);

  return tenants.flatMap((tenant) => (res[`networks:${tenant.id}`]?.items ?? [])
    .filter((network) => network.joined || network.join_policy === 'open')
    .map((network) => ({ tenant, network })));
}


export function Start(rest) {
  const devices = useDevices();
  const networks = useNetworks();
  const { query } = useRoute();
  const [chosen, choose] = useState(query.get('network'));
  const one = networks.find(({ network }) => network.id === chosen) ?? networks[0];

  return html`
    <${Head} title=${t('start.title')} ...${rest} />
    <div class="page">
      <p class="lead">${t('start.text')} ${t('start.root')}</p>
      <ol class="steps">
        <li><h2>${t('start.step.1')}</h2>
          <${Command} text=${`sudo goconnect login ${location.origin}`} />
          <p class="muted">${t('start.step.1.text')}</p></li>
        <li><h2>${t('start.step.2')}</h2>
          ${networks.length > 1 && html`
            <${Field} label=${t('start.network')} name="network" value=${one.network.id}
              onChange=${(event) => choose(event.currentTarget.value)}
              options=${networks.map(({ tenant, network }) => [network.id,
                t('start.network.name', { network: network.name, tenant: tenant.name })])} />`}
          <p><${Link} tone="primary" href=${one ? `/device?network=${one.network.id}` : '/device'}>${t('device.title')}</></p>
          <p class="muted">${t(one ? 'start.step.2.text' : 'start.step.2.none')}</p></li>
      </ol>
      <h2>${t('start.done')}</h2>
      ${devices.status !== 'ready' ? html`<${Loading} />`
        : devices.items.length ? html`<${DeviceList} devices=${devices.items} plain />`
          : html`<p class="note" role="status"><span class="spinner" aria-hidden="true"></span> ${t('start.waiting')}</p>`}
      <p>${t('start.check')}</p>
      <${Command} text="sudo goconnect status" />
    </div>`;
}
