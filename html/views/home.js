// The page without a community: what one can do first.

import { html, useState } from '/lib/preact.js';
import { useModel } from '/model.js';
import { navigate } from '/router.js';
import { t } from '/strings.js';
import { Avatar, Button, Field, Icon, Link, inviteCode } from '/ui.js';
import { CreateTenant } from '/views/tenant.js';
import { Head } from '/views/page.js';


export function Home({ tenants, ...rest }) {
  const me = useModel((s) => s.me);
  const [making, setMaking] = useState(false);

  return html`
    <${Head} title=${t('home.title', { name: me.username })} ...${rest} />
    <div class="page">
      <p class="lead">${t('home.text')}</p>
      ${tenants.items.length > 0 && html`
        <ul class="cards">
          ${tenants.items.map((tenant) => html`
            <li key=${tenant.id}><a class="card-link" href=${`/t/${tenant.id}`}>
              <${Avatar} name=${tenant.name} id=${tenant.id} />
              <span><strong>${tenant.name}</strong>
                <small>${tenant.role ? t('tenant.members', { count: tenant.member_count })
                  : t('home.pending')}</small></span></a></li>`)}
        </ul>`}
      <div class="choices">
        <section class="card">
          <span class="choice-icon"><${Icon} name="plus" /></span>
          <h2>${t('home.create.title')}</h2>
          <p>${t('home.create.text')}</p>
          <${Button} tone="primary" onClick=${() => setMaking(true)}>${t('rail.create')}</>
        </section>
        <section class="card">
          <span class="choice-icon"><${Icon} name="link" /></span>
          <h2>${t('home.join.title')}</h2>
          <p>${t('home.join.text')}</p>
          <${JoinForm} />
        </section>
        <section class="card">
          <span class="choice-icon"><${Icon} name="terminal" /></span>
          <h2>${t('home.device.title')}</h2>
          <p>${t('home.device.text')}</p>
          <${Link} href="/start">${t('home.device.button')}</>
        </section>
      </div>
      ${making && html`<${CreateTenant} onClose=${() => setMaking(false)} />`}
    </div>`;
}


function JoinForm() {
  const [wrong, setWrong] = useState(null);

  function onSubmit(event) {
    event.preventDefault();

    const input = event.currentTarget.elements.code;
    const code = inviteCode(input.value);

    if (code) {
      navigate(`/i/${code}`);
      return;
    }
    setWrong(t('home.join.bad'));
    input.focus();
  }

  return html`
    <form class="form inline" noValidate onSubmit=${onSubmit} aria-label=${t('home.join.title')}>
      <${Field} label=${t('home.join.label')} name="code" autocomplete="off" spellcheck=${false}
        placeholder="…/i/CODE" error=${wrong} />
      <${Button} type="submit">${t('home.join.button')}</>
    </form>`;
}
