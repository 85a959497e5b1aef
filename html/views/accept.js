// /i/CODE: what the invite is for, before an account is asked for.

import { html, useEffect, useState } from '/lib/preact.js';
import { ApiError, api } from '/api.js';
import { acceptInvite, toast } from '/model.js';
import { navigate } from '/router.js';
import { t } from '/strings.js';
import { Avatar, Button, Failed, Icon, Link, Loading, Logo, useAction, useAlive }
  from '/ui.js';
import { LoginForm, RegisterForm } from '/views/auth.js';


export function Accept({ code, me, waiting }) {
  const [found, setFound] = useState({ status: 'loading' });
  const [form, setForm] = useState(null);
  const alive = useAlive();

  async function look() {
    setFound({ status: 'loading' });
    try {
      const preview = await api.preview(code);
      if (alive.current) setFound({ status: 'ready', preview });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (alive.current) setFound({ status: 'failed', error });
    }
  }

  const [accept, busy] = useAction(async () => {
    try {
      const { tenant, network } = await acceptInvite(code);

      navigate(network ? `/t/${tenant.id}/n/${network.id}` : `/t/${tenant.id}`);
      toast(t('accept.done', { name: tenant.name }), 'good');
    } catch (error) {
      if (error.status !== 404) throw error;
      setFound({ status: 'failed', error });
    }
  });

  useEffect(() => { look(); }, [code]);

  // an account made here was made to accept
  useEffect(() => {
    if (form && me) accept();
  }, [form, me]);

  const { preview } = found;
  const place = preview?.tenant_name;

  useEffect(() => {
    document.title = `${place ?? t('accept.invited')} · ${t('app.name')}`;
  }, [place]);

  useEffect(() => {
    if (form) document.querySelector('.invite input')?.focus();
  }, [form]);

  if (found.status === 'loading') {
    return html`<main class="splash"><${Logo} /><${Loading} /></main>`;
  }

  if (found.status === 'failed') {
    return html`<main class="splash"><${Logo} />
      ${found.error.status === 404 ? html`
        <h1>${t('accept.gone.title')}</h1>
        <p role="alert">${t('accept.gone.text')}</p>
        <${Link} href="/">${t('unknown.home')}</>`
        : html`<${Failed} error=${found.error} again=${look} />`}
    </main>`;
  }

  return html`
    <main class="splash invite">
      <div class="card">
        <div class="invite-head">
          <${Avatar} name=${place} size="large" />
          <p>${t('accept.invited')}</p>
          <h1>${place}</h1>
          ${preview.network_name && html`
            <p class="chip"><${Icon} name="mesh" />${t('accept.network', { name: preview.network_name })}</p>`}
          <p class="muted">${t('tenant.members', { count: preview.member_count })}</p>
        </div>
        ${me && !form && html`
          <${Button} tone="primary wide" busy=${busy} onClick=${accept}>${t('accept.join')}</>
          <p class="muted center">${t('accept.as', { name: me.username })}</p>`}
        ${(waiting || (me && form)) && html`<${Loading} />`}
        ${!me && !waiting && !form && html`
          <${Button} tone="primary wide" onClick=${() => setForm('register')}>${t('accept.join')}</>
          <p class="muted center">${t('accept.account')}</p>`}
        ${!me && !waiting && form && html`
          <h2>${t(`auth.${form}.title`)}</h2>
          ${form === 'register' ? html`<${RegisterForm} key="register" />` : html`<${LoginForm} key="login" />`}
          <p class="other">${t(`auth.${form}.other`)} ${' '}
            <${Button} tone="text"
              onClick=${() => setForm(form === 'register' ? 'login' : 'register')}>
              ${t(`auth.${form}.to`)}</></p>`}
      </div>
      <p class="brand small"><${Logo} /><span>${t('app.name')}</span></p>
    </main>`;
}
