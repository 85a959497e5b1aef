// A community: its lounge, making one, accepting to be in one.

import { html, useMemo } from '/lib/preact.js';
import { acceptMembership, createTenant } from '/model.js';
import { navigate } from '/router.js';
import { t } from '/strings.js';
import { Avatar, Button, Dialog, Field, Form, Icon, useAction } from '/ui.js';
import { Chat } from '/views/chat.js';
import { Members } from '/views/members.js';
import { Head } from '/views/page.js';


export const Lounge = ({ tenant, me, ...rest }) => html`
  <${Head} title=${t('nav.lounge')} side icon=${html`<span class="head-icon"><${Icon} name="hash" /></span>`}
    sub=${tenant.description || t('tenant.lounge.topic', { name: tenant.name })} ...${rest} />
  <div class="columns">
    <${Chat} channel=${`tenant:${tenant.id}`} name=${`#${t('nav.lounge')}`} />
    <aside class="side" id="side" aria-label=${t('side.members')}>
      <${Members} of=${`members:${tenant.id}`} me=${me} />
    </aside>
  </div>`;


export function Pending({ tenant, ...rest }) {
  const [accept, busy] = useAction(() => acceptMembership(tenant.id));

  return html`
    <${Head} title=${tenant.name} ...${rest} />
    <div class="page"><div class="empty">
      <${Avatar} name=${tenant.name} id=${tenant.id} size="large" />
      <h2>${t('tenant.pending.title', { name: tenant.name })}</h2>
      <p>${t('tenant.pending.text')}</p>
      <${Button} tone="primary" busy=${busy} onClick=${accept}>${t('tenant.pending.button')}</>
    </div></div>`;
}


export function CreateTenant({ onClose }) {
  const key = useMemo(() => crypto.randomUUID(), []);

  async function submit({ name, description }) {
    const tenant = await createTenant({
      name: name.trim(), ...(description.trim() && { description: description.trim() }),
    }, key);

    onClose();
    navigate(`/t/${tenant.id}`);
  }

  return html`
    <${Dialog} title=${t('tenant.create.title')} onClose=${onClose}>
      <${Form} submit=${submit} label=${t('tenant.create.title')}>
        ${({ errors, busy }) => html`
          <${Field} label=${t('tenant.name')} name="name" required maxlength="64" autocomplete="off"
            pattern=".*\\S.*" data-wrong=${t('field.required')}
            placeholder=${t('tenant.name.placeholder')} error=${errors.name} />
          <${Field} label=${t('tenant.description')} name="description" rows="2" maxlength="1000"
            hint=${t('tenant.description.hint')} error=${errors.description} />
          <div class="actions">
            <${Button} onClick=${onClose}>${t('action.cancel')}</>
            <${Button} type="submit" tone="primary" busy=${busy}>${t('action.create')}</>
          </div>`}
      </>
    </>`;
}
