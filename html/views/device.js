// /device: a device shows a code; whoever types it here says whether it may
// come in, and into which networks.

import { html, useEffect, useState } from '/lib/preact.js';
import { api, path } from '/api.js';
import { joinNetwork, load } from '/model.js';
import { useRoute } from '/router.js';
import { t } from '/strings.js';
import { Button, Empty, Field, Form, Icon, Link, useAction } from '/ui.js';
import { Head } from '/views/page.js';
import { useNetworks } from '/views/start.js';

const CHOSEN_MAX = 3;                 // so few networks are all proposed


export function Device(rest) {
  const { query } = useRoute();
  const [state, setState] = useState({ step: 'code' });

  return html`
    <${Head} title=${t('device.title')} ...${rest} />
    <div class="page">
      ${state.step === 'code' && html`
        <${Code} given=${query.get('code') ?? ''}
          found=${(request) => setState({ step: 'ask', request })} />`}
      ${state.step === 'ask' && html`
        <${Ask} request=${state.request} wanted=${query.get('network')}
          done=${(step) => setState({ step, request: state.request })} />`}
      ${(state.step === 'in' || state.step === 'refused') && html`
        <${Done} step=${state.step} name=${state.request.name}
          again=${() => setState({ step: 'code' })} />`}
    </div>`;
}


async function look(code) {
  try {
    return await api.get(path`/v1/auth/device/${code}`);
  } catch (error) {
    if (error.code === 'not_found') error.code = 'unknown_code';
    throw error;
  }
}


const Code = ({ given, found }) => {
  useEffect(() => { document.querySelector('.device-code input')?.focus(); }, []);

  return html`
    <p class="lead">${t('device.text')}</p>
    <${Form} className="narrow device-code" label=${t('device.title')}
      fields=${{ unknown_code: 'code', already_answered: 'code' }}
      submit=${async ({ code }) => found(await look(code.replace(/[\s-]/g, '')))}>
      ${({ errors, busy }) => html`
        <${Field} label=${t('device.code')} name="code" required autocomplete="off"
          autocapitalize="characters" spellcheck=${false} maxlength="16"
          pattern="\\s*([0-9A-Za-z]\\s*-?\\s*){8}" data-wrong=${t('device.code.wrong')}
          placeholder="ABCD-EFGH" defaultValue=${given} hint=${t('device.code.hint')}
          error=${errors.code} />
        <${Button} type="submit" tone="primary" busy=${busy}>${t('device.next')}</>`}
    </>`;
};


function Ask({ request, wanted, done }) {
  const networks = useNetworks();

  useEffect(() => { document.querySelector('.device-ask h2')?.focus(); }, []);

  const answer = (approve, chosen = []) => api.post('/v1/auth/device/approve', {
    user_code: request.user_code, approve, networks: chosen.map(({ network }) => network.id) });

  async function letIn(form) {
    const chosen = networks.filter(({ network }) => form[`network-${network.id}`]);

    for (const { network } of chosen) {
      if (!network.joined) await joinNetwork(network);
    }
    await answer(true, chosen);
    load('devices');
    done('in');
  }

  const [refuse, refusing] = useAction(async () => {
    await answer(false);
    done('refused');
  });

  return html`
    <section class="card device-ask">
      <h2 tabIndex="-1">${t('device.ask', { name: request.name })}</h2>
      <dl class="facts">
        <div><dt>${t('device.code')}</dt>
          <dd>${`${request.user_code.slice(0, 4)}-${request.user_code.slice(4)}`}</dd></div>
        <div><dt>${t('device.platform')}</dt><dd>${request.platform}</dd></div>
        <div><dt>${t('device.address')}</dt><dd>${request.address ?? '–'}</dd></div>
      </dl>
      <p class="note"><${Icon} name="alert" /><span>${t('device.careful')}</span></p>
      <${Form} label=${t('device.ask', { name: request.name })} submit=${letIn}>
        ${({ busy }) => html`
          ${networks.length > 0 && html`
            <fieldset class="choices">
              <legend>${t('device.networks')}</legend>
              ${networks.map(({ tenant, network }) => html`
                <label key=${network.id}>
                  <input type="checkbox" name=${`network-${network.id}`}
                    defaultChecked=${wanted ? network.id === wanted
                      : network.joined && networks.length <= CHOSEN_MAX} />
                  <span>${t('start.network.name', { network: network.name, tenant: tenant.name })}</span>
                </label>`)}
            </fieldset>`}
          <div class="actions">
            <${Button} busy=${refusing} onClick=${refuse}>${t('device.refuse')}</>
            <${Button} type="submit" tone="primary" busy=${busy}>${t('device.approve')}</>
          </div>`}
      </>
    </section>`;
}


const Done = ({ step, name, again }) => html`
  <div role="status">
    <${Empty} icon=${step === 'in' ? 'check' : 'close'} title=${t(`device.${step}.title`, { name })}>
      <p>${t(`device.${step}.text`)}</p>
      <div class="actions center">
        <${Link} href="/devices" tone=${step === 'in' ? 'primary' : ''}>${t('rail.devices')}</>
        <${Button} onClick=${again}>${t('device.another')}</>
      </div>
    </>
  </div>`;
