// Making an invite and copying its link; the list of those that are open.

import { html, useState } from '/lib/preact.js';
import { createInvite, deleteInvite, load, toast, useResource } from '/model.js';
import { givable } from '/roles.js';
import { moment, short, t } from '/strings.js';
import { Button, CopyButton, Dialog, Empty, Failed, Field, Form, Loading, useAction } from '/ui.js';

const EXPIRES = [604800, 86400, 3600, 2592000];
const USES = [0, 1, 5, 25];


export function Invite({ tenant, network, onClose }) {
  const networks = useResource(`networks:${tenant.id}`);
  const [made, setMade] = useState(null);

  async function submit({ network_id: id, role, expires_in: expires, max_uses: uses }) {
    setMade(await createInvite(tenant.id, {
      role,
      network_id: id || null,
      expires_in: Number(expires),
      max_uses: Number(uses) || null,
    }));
  }

  const choices = networks.items.map((one) => [one.id, t('invite.network.one', { name: one.name })]);

  // the network that one looks at comes first, else none
  choices.sort((a, b) => Number(b[0] === network) - Number(a[0] === network));
  choices.splice(network ? 1 : 0, 0, ['', t('invite.network.none')]);

  return html`
    <${Dialog} title=${made ? t('invite.ready') : t('invite.title', { name: tenant.name })} onClose=${onClose}>
      ${made ? html`<${Made} invite=${made} onClose=${onClose} again=${() => setMade(null)} />`
        : networks.status !== 'ready' ? html`<${Loading} />` : html`
        <p class="muted">${t('invite.text')}</p>
        <${Form} submit=${submit} label=${t('invite.title', { name: tenant.name })}>
          ${({ errors, busy }) => html`
            <${Field} label=${t('invite.network')} name="network_id" options=${choices}
              error=${errors.network_id} />
            <div class="pair">
              <${Field} label=${t('invite.expires')} name="expires_in" error=${errors.expires_in}
                options=${EXPIRES.map((s) => [s, t(`invite.expires.${s}`)])} />
              <${Field} label=${t('invite.uses')} name="max_uses" error=${errors.max_uses}
                options=${USES.map((n) => [n, t(`invite.uses.${n}`)])} />
            </div>
            <${Field} label=${t('invite.role')} name="role" error=${errors.role}
              options=${givable(tenant.role).map((role) => [role, t(`role.${role}`)])} />
            <div class="actions">
              <${Button} onClick=${onClose}>${t('action.cancel')}</>
              <${Button} type="submit" tone="primary" icon="link" busy=${busy}>${t('invite.make')}</>
            </div>`}
        </>`}
    </>`;
}


const Made = ({ invite, onClose, again }) => html`
  <p role="status">${t('invite.once')}</p>
  <div class="copy-line">
    <input class="link" readonly value=${invite.url} aria-label=${t('invite.link')}
      onFocus=${(event) => event.currentTarget.select()} />
    <${CopyButton} text=${invite.url} tone="primary">${t('invite.copy')}</>
  </div>
  <div class="actions">
    <${Button} onClick=${again}>${t('invite.another')}</>
    <${Button} onClick=${onClose}>${t('action.close')}</>
  </div>`;


export function Invites({ tenant }) {
  const key = `invites:${tenant.id}`;
  const invites = useResource(key);
  const networks = useResource(`networks:${tenant.id}`);
  const [making, setMaking] = useState(false);

  const name = (invite) => (invite.network_id
    ? networks.items.find((one) => one.id === invite.network_id)?.name ?? '…'
    : t('invites.tenant'));

  return html`
    <div class="section-head"><h2>${t('settings.invites')}</h2>
      <${Button} icon="plus" onClick=${() => setMaking(true)}>${t('invites.new')}</></div>
    ${invites.status === 'failed' ? html`<${Failed} error=${invites.error} again=${() => load(key)} />`
      : invites.status !== 'ready' ? html`<${Loading} />`
        : !invites.items.length ? html`
          <${Empty} icon="link" title=${t('invites.empty.title')} level=3><p>${t('invites.empty.text')}</p></>`
          : html`
          <div class="scroll" tabIndex="0" role="region" aria-label=${t('settings.invites')}>
            <table>
              <thead><tr>
                ${['for', 'role', 'uses', 'expires'].map((column) => html`
                  <th scope="col" key=${column}>${t(`invites.${column}`)}</th>`)}
                <th scope="col"><span class="hidden">${t('invites.actions')}</span></th>
              </tr></thead>
              <tbody>${invites.items.map((invite) => html`
                <${Row} key=${invite.id} invite=${invite} name=${name(invite)} />`)}</tbody>
            </table>
          </div>`}
    ${making && html`<${Invite} tenant=${tenant} onClose=${() => setMaking(false)} />`}`;
}


function Row({ invite, name }) {
  const [revoke, busy] = useAction(async () => {
    await deleteInvite(invite);
    toast(t('invites.revoked'), 'good');
  });

  return html`
    <tr>
      <td>${name}</td>
      <td>${t(`role.${invite.role}`)}</td>
      <td>${invite.max_uses
        ? t('invites.limited', { uses: invite.uses, max: invite.max_uses })
        : t('invites.unlimited', { uses: invite.uses })}</td>
      <td>${invite.expires_at ? html`<span title=${moment(new Date(invite.expires_at))}>${short(new Date(invite.expires_at))}</span>` : '–'}</td>
      <td><${Button} tone="small" busy=${busy} onClick=${revoke}
        aria-label=${t('invites.revoke', { name })}>${t('action.revoke')}</></td>
    </tr>`;
}
