// My devices, wherever they are joined.

import { html, useEffect, useState } from '/lib/preact.js';
import { deleteDevice, load, renameDevice, toast, useResource } from '/model.js';
import { ago, date, moment, t } from '/strings.js';
import { Button, Confirm, Dialog, Dot, Empty, Failed, Field, Form, Icon, Link, Loading } from '/ui.js';
import { Head } from '/views/page.js';

// A device that is in no network tells of itself only here.
const REFRESH_MS = 15_000;


export function useDevices() {
  const devices = useResource('devices');

  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) load('devices'); }, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return devices;
}


export function Devices(rest) {
  const devices = useDevices();

  return html`
    <${Head} title=${t('devices.title')} ...${rest}
      actions=${html`<${Link} icon="plus" href="/start">${t('rail.start')}</>`} />
    <div class="page">
      <p class="lead">${t('devices.text')}</p>
      ${devices.status === 'failed' ? html`<${Failed} error=${devices.error} again=${() => load('devices')} />`
        : devices.status !== 'ready' ? html`<${Loading} />`
          : devices.items.length ? html`<${DeviceList} devices=${devices.items} />`
            : html`<${Empty} icon="device" title=${t('devices.empty.title')}>
                <p>${t('devices.empty.text')}</p>
                <${Link} tone="primary" href="/start">${t('rail.start')}</></>`}
    </div>`;
}


export function DeviceList({ devices, plain }) {
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);

  return html`
    <ul class="devices">
      ${devices.map((device) => html`
        <li key=${device.id} class="card device">
          <span class="device-icon"><${Icon} name="device" /></span>
          <div class="device-text">
            <strong>${device.name}</strong>
            <span class="muted">${device.platform} · ${t('devices.added', { date: date(new Date(device.created_at)) })}</span>
            <span class=${`state ${device.online ? 'on' : ''}`}><${Dot} on=${device.online} />
              <span aria-hidden="true">${device.online ? t('status.online')
                : device.last_seen ? html`<span title=${moment(new Date(device.last_seen))}>${
                  t('status.seen', { when: ago(new Date(device.last_seen)) })}</span>` : t('status.never')}</span></span>
          </div>
          ${!plain && html`
            <div class="device-actions">
              <${Button} tone="quiet" icon="pencil" label=${t('devices.rename.title', { name: device.name })}
                onClick=${() => setDialog(['rename', device])} />
              <${Button} tone="quiet" icon="trash" label=${`${t('devices.remove')}: ${device.name}`}
                onClick=${() => setDialog(['remove', device])} />
            </div>`}
        </li>`)}
    </ul>
    ${dialog?.[0] === 'remove' && html`
      <${Confirm} title=${t('devices.remove.title', { name: dialog[1].name })}
        text=${t('devices.remove.text')} button=${t('devices.remove')} onClose=${close}
        work=${async () => {
          await deleteDevice(dialog[1]);
          toast(t('devices.removed', { name: dialog[1].name }), 'good');
        }} />`}
    ${dialog?.[0] === 'rename' && html`<${Rename} device=${dialog[1]} onClose=${close} />`}`;
}


const Rename = ({ device, onClose }) => html`
  <${Dialog} title=${t('devices.rename.title', { name: device.name })} onClose=${onClose}>
    <${Form} label=${t('devices.rename.title', { name: device.name })}
      submit=${async ({ name }) => {
        await renameDevice(device, name.trim());
        onClose();
      }}>
      ${({ errors, busy }) => html`
        <${Field} label=${t('devices.name')} name="name" required maxlength="64" autocomplete="off"
          pattern=".*\\S.*" data-wrong=${t('field.required')} defaultValue=${device.name} error=${errors.name} />
        <div class="actions">
          <${Button} onClick=${onClose}>${t('action.cancel')}</>
          <${Button} type="submit" tone="primary" busy=${busy}>${t('action.save')}</>
        </div>`}
    </>
  </>`;
