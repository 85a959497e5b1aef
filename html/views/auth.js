// Signing in and up. The accept page uses the same form.

import { html, useEffect } from '/lib/preact.js';
import { api } from '/api.js';
import { session } from '/session.js';
import { navigate, useRoute } from '/router.js';
import { useStore } from '/store.js';
import { t } from '/strings.js';
import { Button, Field, Form, Icon, Logo } from '/ui.js';

const USERNAME = '[A-Za-z0-9][A-Za-z0-9_.\\-]*';


export const LoginForm = () => html`
  <${Form} submit=${({ username, password }) => api.login({ username: username.trim(), password })}
    label=${t('auth.login.title')}>
    ${({ errors, busy }) => html`
      <${Field} label=${t('auth.username')} name="username" autocomplete="username"
        autocapitalize="none" spellcheck=${false} required error=${errors.username} />
      <${Field} label=${t('auth.password')} name="password" type="password"
        autocomplete="current-password" required error=${errors.password} />
      <${Button} type="submit" tone="primary" busy=${busy}>${t('auth.login.button')}</>`}
  </>`;


export const RegisterForm = () => html`
  <${Form} submit=${(values) => api.register(values)} fields=${{ username_taken: 'username' }}
    label=${t('auth.register.title')}>
    ${({ errors, busy }) => html`
      <${Field} label=${t('auth.username')} name="username" autocomplete="username"
        autocapitalize="none" spellcheck=${false} required minlength="3" maxlength="32"
        pattern=${USERNAME} data-wrong=${t('auth.username.hint')}
        hint=${t('auth.username.hint')} error=${errors.username} />
      <${Field} label=${t('auth.password')} name="password" type="password"
        autocomplete="new-password" required minlength="10" maxlength="72"
        hint=${t('auth.password.hint')} error=${errors.password} />
      <${Button} type="submit" tone="primary" busy=${busy}>${t('auth.register.button')}</>`}
  </>`;


function Page({ title, children }) {
  const ended = useStore(session, (s) => s.ended);

  useEffect(() => {
    document.title = `${title} · ${t('app.name')}`;
    document.querySelector('.auth input')?.focus();
  }, [title]);

  return html`
    <div class="front">
      <aside class="pitch">
        <p class="brand"><${Logo} /><span>${t('app.name')}</span></p>
        <p class="tagline">${t('app.tagline')}</p>
        <ul>
          ${[['mesh', 1], ['people', 2], ['lock', 3]].map(([icon, n]) => html`
            <li key=${n}><${Icon} name=${icon} />
              <div><strong>${t(`auth.pitch.${n}.title`)}</strong>
                <p>${t(`auth.pitch.${n}.text`)}</p></div></li>`)}
        </ul>
      </aside>
      <main class="auth">
        <div class="card">
          <h1>${title}</h1>
          ${ended && html`<p class="note" role="status">${t(`auth.ended.${ended}`)}</p>`}
          ${children}
        </div>
      </main>
    </div>`;
}


const next = (route) => {
  const to = route.query.get('next');
  return to ? `?next=${encodeURIComponent(to)}` : '';
};


export function Login() {
  const route = useRoute();

  return html`
    <${Page} title=${t('auth.login.title')}>
      <${LoginForm} />
      <p class="other">${t('auth.login.other')} ${' '}
        <a href=${`/register${next(route)}`}>${t('auth.login.to')}</a></p>
    </>`;
}


export function Register() {
  const route = useRoute();

  return html`
    <${Page} title=${t('auth.register.title')}>
      <${RegisterForm} />
      <p class="other">${t('auth.register.other')} ${' '}
        <a href=${`/login${next(route)}`}>${t('auth.register.to')}</a></p>
    </>`;
}


// /reset#TOKEN: what stands behind the # the browser tells nobody.
export function Reset() {
  const token = location.hash.slice(1);

  async function submit({ password }) {
    await api.reset(token, password);
    navigate('/login', { replace: true });
  }

  return html`
    <${Page} title=${t('auth.reset.title')}>
      ${token ? html`
        <${Form} submit=${submit} label=${t('auth.reset.title')}>
          ${({ errors, busy }) => html`
            <${Field} label=${t('auth.reset.password')} name="password" type="password"
              autocomplete="new-password" required minlength="10" maxlength="72"
              hint=${t('auth.password.hint')} error=${errors.password} />
            <${Button} type="submit" tone="primary" busy=${busy}>${t('auth.reset.button')}</>`}
        </>`
        : html`<p role="alert">${t('error.invalid_reset_token')}</p>`}
      <p class="other"><a href="/login">${t('auth.register.to')}</a></p>
    </>`;
}
