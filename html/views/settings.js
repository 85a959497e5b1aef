// What the admins of a community take care of.

import { html, useState } from '/lib/preact.js';
import { addMember, deleteTenant, toast, updateTenant } from '/model.js';
import { atLeast, givable } from '/roles.js';
import { navigate } from '/router.js';
import { t } from '/strings.js';
import { Button, Field, Form } from '/ui.js';
import { Invites } from '/views/invites.js';
import { Members } from '/views/members.js';
import { Head, Unknown } from '/views/page.js';


export function Settings({ tenant, me, ...rest }) {
  if (!atLeast(tenant.role, 'admin')) return html`<${Unknown} ...${rest} />`;

  return html`
    <${Head} title=${t('settings.title', { name: tenant.name })} ...${rest} />
    <div class="page sections">
      <section class="card"><${Invites} tenant=${tenant} /></section>
      <section class="card">
        <h2>${t('settings.members')}</h2>
        <${AddMember} tenant=${tenant} />
        <${Members} of=${`members:${tenant.id}`} me=${me} />
      </section>
      <section class="card"><h2>${t('settings.general')}</h2><${General} tenant=${tenant} /></section>
      ${tenant.role === 'owner' && html`<section class="card danger-zone"><${Danger} tenant=${tenant} /></section>`}
    </div>`;
}


function General({ tenant }) {
  async function submit({ name, description }) {
    await updateTenant(tenant.id, { name: name.trim(), description: description.trim() });
    toast(t('settings.saved'), 'good');
  }

  return html`
    <${Form} submit=${submit} label=${t('settings.general')}>
      ${({ errors, busy }) => html`
        <${Field} label=${t('tenant.name')} name="name" required maxlength="64" autocomplete="off"
          pattern=".*\\S.*" data-wrong=${t('field.required')} defaultValue=${tenant.name} error=${errors.name} />
        <${Field} label=${t('tenant.description')} name="description" rows="2" maxlength="1000"
          defaultValue=${tenant.description ?? ''} error=${errors.description} />
        <div><${Button} type="submit" tone="primary" busy=${busy}>${t('action.save')}</></div>`}
    </>`;
}


function AddMember({ tenant }) {
  const [round, setRound] = useState(0);

  async function submit({ username, role }) {
    await addMember(tenant.id, { username: username.trim(), role });
    toast(t('members.added', { name: username.trim() }), 'good');
    setRound(round + 1);
  }

  return html`
    <${Form} key=${round} submit=${submit} label=${t('members.add')} className="row"
      fields=${{ not_found: 'username', already_member: 'username', unknown_user: 'username', user_not_found: 'username' }}>
      ${({ errors, busy }) => html`
        <${Field} label=${t('members.add')} name="username" required maxlength="64" autocomplete="off"
          autocapitalize="none" spellcheck=${false} hint=${t('members.add.text')} error=${errors.username} />
        <${Field} label=${t('members.add.role')} name="role" error=${errors.role}
          options=${givable(tenant.role).map((role) => [role, t(`role.${role}`)])} />
        <${Button} type="submit" busy=${busy}>${t('members.add.button')}</>`}
    </>`;
}


function Danger({ tenant }) {
  const [wrong, setWrong] = useState(null);

  async function submit({ confirm }) {
    if (confirm.trim() !== tenant.name) {
      setWrong(t('settings.danger.mismatch'));
      return;
    }
    await deleteTenant(tenant.id);
    navigate('/');
    toast(t('settings.danger.done', { name: tenant.name }), 'good');
  }

  return html`
    <h2>${t('settings.danger')}</h2>
    <p>${t('settings.danger.text')}</p>
    <${Form} submit=${submit} label=${t('settings.danger')}>
      ${({ errors, busy }) => html`
        <${Field} label=${t('settings.danger.confirm', { name: tenant.name })} name="confirm" required
          autocomplete="off" spellcheck=${false} error=${errors.confirm ?? wrong} />
        <div><${Button} type="submit" tone="danger" busy=${busy}>${t('settings.danger.button')}</></div>`}
    </>`;
}
