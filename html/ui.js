// The pieces that views are made of.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState }
  from '/lib/preact.js';
import { ApiError } from '/api.js';
import { explain, has, t } from '/strings.js';
import { dismiss, toast, useModel } from '/model.js';

const ICONS = {
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  hash: 'M10 4L8 20M16 4l-2 16M5 9h15M4 15h15',
  send: 'M4 12l16-8-5 16-3.5-6.5L4 12zM11.500 13.500L20 4',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  check: 'M5 12.500l4.500 4.500L19 7',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700l-1.300 1.300M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.700 5.700l1.300-1.300',
  people: 'M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c.5-4 3-6 6.500-6s6 2 6.500 6M16 4.500a3.500 3.500 0 0 1 0 6M18 14.500c2 .8 3.200 2.600 3.500 5.500',
  device: 'M4 5h16v11H4zM2 20h20M12 16v4',
  mesh: 'M12 7.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM5 21.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM19 21.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM11 7.300L6.200 16.800M13 7.300l4.800 9.500M7.500 19h9',
  sliders: 'M4 8h9M17 8h3M15 10.500v-5M4 16h3M11 16h9M9 18.500v-5',
  leave: 'M14 4H5v16h9M10 12h11M17 8l4 4-4 4',
  lock: 'M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3',
  alert: 'M12 4l9 16H3zM12 10v4M12 17v.2',
  terminal: 'M4 5h16v14H4zM7.500 9.500L10 12l-2.500 2.500M12.500 15h4',
  down: 'M12 5v14M6 13l6 6 6-6',
  auto: 'M12 3.500a8.500 8.500 0 1 0 0 17zM12 3.500a8.500 8.500 0 0 1 0 17',
  light: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300L19 19M5 19l1.700-1.700M17.300 6.700L19 5',
  dark: 'M19.500 14A8 8 0 1 1 10 4.500a6.500 6.500 0 0 0 9.500 9.500z',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13',
  pencil: 'M4 20l1-4L16 5l3 3L8 19l-4 1z',
};

export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${ICONS[name]} /></svg>`;

export const Logo = ({ size = '' }) => html`
  <img class=${`logo ${size}`} src="/logo.svg" alt="" width="64" height="64" />`;

export const Hidden = ({ children }) => html`<span class="hidden">${children}</span>`;


// A button whose work may take a while. `label` names one that shows only an
// icon.
export function Button({ icon, label, tone = '', busy, children, ...rest }) {
  return html`
    <button type="button" class=${`button ${tone} ${children ? '' : 'square'}`}
      aria-label=${label} title=${children ? undefined : label}
      aria-busy=${busy ? 'true' : undefined} aria-disabled=${busy ? 'true' : undefined}
      ...${rest} onClick=${busy ? (event) => event.preventDefault() : rest.onClick}>
      ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} />`}
      ${children && html`<span>${children}</span>`}
    </button>`;
}


export const Link = ({ icon, label, tone = '', children, ...rest }) => html`
  <a class=${`button ${tone} ${children ? '' : 'square'}`} aria-label=${label}
    title=${children ? undefined : label} ...${rest}>
    ${icon && html`<${Icon} name=${icon} />`}
    ${children && html`<span>${children}</span>`}</a>`;


export const Loading = () => html`
  <div class="loading" role="status"><span class="spinner" aria-hidden="true"></span>
    <span>${t('app.loading')}</span></div>`;


// What a list shows while it has nothing.
export const Empty = ({ icon, title, children, level = 2 }) => html`
  <div class="empty">
    ${icon && html`<span class="empty-icon"><${Icon} name=${icon} /></span>`}
    ${level === 3 ? html`<h3>${title}</h3>` : html`<h2>${title}</h2>`}
    ${children}
  </div>`;


export const Failed = ({ error, again }) => html`
  <div class="empty" role="alert">
    <span class="empty-icon"><${Icon} name="alert" /></span>
    <p>${explain(error)}</p>
    ${again && html`<${Button} onClick=${again}>${t('action.retry')}</>`}
  </div>`;


// The first letters of a name, on a colour that stays with it.
export function Avatar({ name, id, size = '' }) {
  const letters = useMemo(() => initials(name), [name]);

  return html`<span class=${`avatar hue-${hue(id ?? name)} ${size}`} aria-hidden="true">${letters}</span>`;
}


function initials(name) {
  const words = name.split(/[\s._-]+/u).filter(Boolean);
  const first = (word) => [...word][0] ?? '';

  return (words.length > 1 ? first(words[0]) + first(words[1])
    : [...(words[0] ?? '?')].slice(0, 2).join('')).toUpperCase();
}


function hue(text) {
  let sum = 0;
  for (const c of text) sum = (sum * 31 + c.codePointAt(0)) % 4093;
  return sum % 8;
}


export const Dot = ({ on }) => html`
  <span class=${`dot ${on ? 'on' : ''}`}><${Hidden}>${t(on ? 'status.online' : 'status.offline')}</></span>`;


export const Role = ({ role }) => (role && role !== 'member'
  ? html`<span class=${`badge ${role}`}>${t(`role.${role}`)}</span>` : null);


// Forms

let fieldId = 0;


// `submit(values)` may throw an ApiError; its fields are shown where they
// belong, the rest above the button. `fields` maps a problem's code to a field.
export function Form({ submit, fields = {}, children, label, className = '' }) {
  const ref = useRef();
  const [state, setState] = useState({ busy: false, errors: {}, error: null });
  const alive = useAlive();

  useEffect(() => {
    if (!state.failed) return;
    (ref.current.querySelector('[aria-invalid=true]')
      ?? ref.current.querySelector('.form-error'))?.focus();
  }, [state.failed]);

  async function onSubmit(event) {
    event.preventDefault();
    if (state.busy) return;

    const form = event.currentTarget;
    const errors = check(form);

    if (Object.keys(errors).length) {
      setState({ busy: false, errors, error: null, failed: {} });
      return;
    }

    setState({ busy: true, errors: {}, error: null });
    try {
      await submit(Object.fromEntries(new FormData(form)));
      if (alive.current) setState({ busy: false, errors: {}, error: null });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (alive.current) setState({ busy: false, ...place(error, form, fields), failed: {} });
    }
  }

  return html`
    <form ref=${ref} class=${`form ${className}`} noValidate onSubmit=${onSubmit}
      aria-label=${label}>
      ${children({ errors: state.errors, busy: state.busy })}
      ${state.error && html`
        <p class="form-error" role="alert" tabIndex="-1">
          <${Icon} name="alert" />${explain(state.error)}</p>`}
    </form>`;
}


function check(form) {
  const errors = {};

  for (const { name, validity: v, minLength, maxLength, dataset } of form.elements) {
    if (!name || !v || v.valid) continue;
    if (v.valueMissing) errors[name] = t('field.required');
    else if (v.tooShort) errors[name] = t('field.short', { count: minLength });
    else if (v.tooLong) errors[name] = t('field.long', { count: maxLength });
    else errors[name] = dataset.wrong || t('field.pattern');
  }
  return errors;
}


function place(error, form, fields) {
  const errors = {};
  const rest = [];

  for (const one of error.fields) {
    const said = has(`error.${one.code}`) ? t(`error.${one.code}`) : one.detail;

    if (form.elements[one.field]) errors[one.field] ??= said;
    else rest.push(said);
  }
  if (form.elements[fields[error.code]]) errors[fields[error.code]] ??= explain(error);

  return {
    errors,
    error: Object.keys(errors).length && !rest.length ? null : rest[0] ?? error,
  };
}


export function Field({ label, hint, error, name, options, rows, ...rest }) {
  const id = useMemo(() => `field-${fieldId += 1}`, []);
  const described = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ');
  const attributes = { id, name, 'aria-describedby': described || undefined,
    'aria-invalid': error ? 'true' : undefined, ...rest };

  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      ${options ? html`<select ...${attributes}>${options.map(([value, text]) => html`
            <option value=${value} key=${value}>${text}</option>`)}</select>`
        : rows ? html`<textarea rows=${rows} ...${attributes}></textarea>`
          : html`<input ...${attributes} />`}
      ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
      ${hint && html`<p class="field-hint" id=${`${id}-hint`}>${hint}</p>`}
    </div>`;
}


export function useAlive() {
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  return alive;
}


// Runs something that the user asked for; a failure becomes a toast.
export function useAction(work) {
  const [busy, setBusy] = useState(false);
  const alive = useAlive();

  return [async (...args) => {
    if (busy) return undefined;
    setBusy(true);
    try {
      return await work(...args);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(error);
      return undefined;
    } finally {
      if (alive.current) setBusy(false);
    }
  }, busy];
}


// Dialogs

export function Dialog({ title, children, onClose, wide }) {
  const ref = useRef();
  const id = useMemo(() => `dialog-${fieldId += 1}`, []);

  useLayoutEffect(() => {
    const dialog = ref.current;
    const back = document.activeElement;

    dialog.showModal();
    return () => {
      if (dialog.open) dialog.close();
      if (back?.isConnected) back.focus();
    };
  }, []);

  return html`
    <dialog ref=${ref} class=${`dialog ${wide ? 'wide' : ''}`} aria-labelledby=${id}
      onCancel=${(event) => { event.preventDefault(); onClose(); }}
      onMouseDown=${(event) => { if (event.target === ref.current) onClose(); }}>
      <div class="dialog-body">
        <div class="dialog-head"><h2 id=${id}>${title}</h2>
          <${Button} icon="close" label=${t('action.close')} tone="quiet" onClick=${onClose} /></div>
        ${children}
      </div>
    </dialog>`;
}


// Asks before something that cannot be taken back.
export function Confirm({ title, text, button, work, onClose }) {
  async function submit() {
    await work();
    onClose();
  }

  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <p>${text}</p>
      <${Form} submit=${submit} label=${title}>
        ${({ busy }) => html`
          <div class="actions">
            <${Button} onClick=${onClose}>${t('action.cancel')}</>
            <${Button} type="submit" tone="danger" busy=${busy}>${button}</>
          </div>`}
      </>
    </>`;
}


// Copying

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // no clipboard API outside https and localhost
    const area = document.createElement('textarea');
    const host = document.activeElement?.closest('dialog') ?? document.body;

    area.value = text;
    area.className = 'hidden';
    host.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}


export function CopyButton({ text, children, label, tone = 'quiet' }) {
  const [done, setDone] = useState(false);

  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 2000);
    return () => clearTimeout(timer);
  }, [done]);

  async function onClick(event) {
    const button = event.currentTarget;

    await copy(text);
    button.focus();
    setDone(true);
  }

  return html`
    <${Button} tone=${tone} icon=${done ? 'check' : 'copy'} label=${children ? undefined : label}
      onClick=${onClick}>${children && (done ? t('action.copied') : children)}</>
    <span class="hidden" role="status">${done ? t('action.copied') : ''}</span>`;
}


export const Command = ({ text }) => html`
  <div class="command">
    <pre tabIndex="0"><code>${text}</code></pre>
    <${CopyButton} text=${text} label=${t('start.command.copy')} />
  </div>`;


// Toasts

export function Toasts() {
  const toasts = useModel((s) => s.toasts);

  return html`
    <div class="toasts">
      ${toasts.map(({ id, tone, what }) => html`
        <div key=${id} class=${`toast ${tone}`} role=${tone === 'error' ? 'alert' : 'status'}>
          <${Icon} name=${tone === 'error' ? 'alert' : 'check'} />
          <p>${explain(what)}</p>
          <${Button} tone="quiet" icon="close" label=${t('action.dismiss')}
            onClick=${() => dismiss(id)} />
        </div>`)}
    </div>`;
}


// The code of an invite from what somebody pasted: a link, or the code alone.
export function inviteCode(text) {
  const found = /(?:\/i\/|^)([0-9A-Za-z-]{10,16})\/?$/.exec(text.trim());
  const code = found?.[1].replaceAll('-', '').toUpperCase();

  return code?.length === 10 ? code : null;
}
