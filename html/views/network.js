// A network: its chat, its people and devices; joining, leaving, making one.

import { html, useMemo, useState } from '/lib/preact.js';
import { createNetwork, deleteNetwork, joinNetwork, leaveNetwork, load, toast, useResource }
  from '/model.js';
import { atLeast } from '/roles.js';
import { navigate } from '/router.js';
import { t } from '/strings.js';
import { Button, Confirm, Dialog, Failed, Field, Form, Icon, Loading, inviteCode }
  from '/ui.js';
import { Chat } from '/views/chat.js';
import { Invite } from '/views/invites.js';
import { Members } from '/views/members.js';
import { Peers } from '/views/peers.js';
import { Head, Unknown } from '/views/page.js';


export function Network({ id, tenant, me, ...rest }) {
  const networks = useResource(`networks:${tenant.id}`);
  const network = networks.items.find((one) => one.id === id);
  const peers = useResource(network?.joined ? `peers:${id}` : null);
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);

  if (!network) {
    if (networks.status === 'failed') {
      return html`<${Failed} error=${networks.error} again=${() => load(`networks:${tenant.id}`)} />`;
    }
    return networks.status === 'ready' ? html`<${Unknown} ...${rest} />` : html`<${Loading} />`;
  }

  const admin = atLeast(tenant.role, 'admin');

  const actions = html`
    <span class="chip only-roomy" title=${t('network.range', { cidr: network.cidr })}>${network.cidr}</span>
    ${admin && html`<${Button} tone="quiet" icon="link" label=${t('nav.invite')} onClick=${() => setDialog('invite')} />`}
    ${network.joined && html`<${Button} tone="quiet" icon="leave" label=${t('network.leave')} onClick=${() => setDialog('leave')} />`}
    ${admin && html`<${Button} tone="quiet" icon="trash" label=${t('network.delete')} onClick=${() => setDialog('delete')} />`}`;

  return html`
    <${Head} title=${network.name} side=${network.joined} actions=${actions}
      icon=${html`<span class="head-icon"><${Icon} name="mesh" /></span>`}
      sub=${network.description || count(network, peers)} ...${rest} />
    ${network.joined ? html`<${Inside} network=${network} me=${me} />`
      : html`<${Gate} network=${network} />`}
    ${dialog === 'invite' && html`<${Invite} tenant=${tenant} network=${id} onClose=${close} />`}
    ${dialog === 'leave' && html`
      <${Confirm} title=${t('network.leave.title', { name: network.name })}
        text=${t('network.leave.text')} button=${t('network.leave')} onClose=${close}
        work=${async () => {
          await leaveNetwork(network);
          toast(t('network.left', { name: network.name }), 'good');
        }} />`}
    ${dialog === 'delete' && html`
      <${Confirm} title=${t('network.delete.title', { name: network.name })}
        text=${t('network.delete.text')} button=${t('network.delete')} onClose=${close}
        work=${async () => {
          await deleteNetwork(network);
          navigate(`/t/${tenant.id}`);
        }} />`}`;
}


// How many devices there are; from outside the number is all that one sees.
function count(network, peers) {
  if (peers.status !== 'ready') return t('network.range', { cidr: network.cidr });
  if (!peers.items.length) return t('network.devices.none');
  return t('network.devices', { count: peers.items.length,
    online: peers.items.filter((peer) => peer.online).length });
}


function Inside({ network, me }) {
  const [tab, setTab] = useState('devices');

  // the pattern of tabs: arrows move, the panel follows
  const onKey = (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const next = tab === 'devices' ? 'members' : 'devices';
    setTab(next);
    event.currentTarget.querySelector(`#tab-${next}`).focus();
  };

  return html`
    <div class="columns">
      <${Chat} channel=${`network:${network.id}`} name=${network.name} />
      <aside class="side" id="side" aria-label=${t('nav.side')}>
        <div class="tabs" role="tablist" aria-label=${t('nav.side')} onKeyDown=${onKey}>
          ${['devices', 'members'].map((name) => html`
            <button key=${name} type="button" role="tab" id=${`tab-${name}`} aria-controls="tab-panel"
              aria-selected=${name === tab ? 'true' : 'false'} tabIndex=${name === tab ? 0 : -1}
              onClick=${() => setTab(name)}>${t(`side.${name}`)}</button>`)}
        </div>
        <div class="tab-panel" role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab}`}>
          ${tab === 'devices' ? html`<${Peers} network=${network} me=${me} />`
            : html`<${Members} of=${`network-members:${network.id}`} me=${me} />`}
        </div>
      </aside>
    </div>`;
}


// What stands in place of a network that one is not in.
function Gate({ network }) {
  const policy = network.join_policy;

  async function submit({ code }) {
    await joinNetwork(network, code === undefined ? undefined : inviteCode(code) ?? code.trim());
    toast(t('network.joined', { name: network.name }), 'good');
  }

  return html`
    <div class="page"><div class="empty">
      <span class="empty-icon"><${Icon} name=${policy === 'open' ? 'mesh' : 'lock'} /></span>
      <h2>${t('network.gate.title', { name: network.name })}</h2>
      <p>${t(`network.gate.${policy}`, { cidr: network.cidr })}</p>
      <${Form} submit=${submit} label=${t('network.join')} className="narrow"
        fields=${{ invite_required: 'code', not_found: 'code' }}>
        ${({ errors, busy }) => html`
          ${policy === 'invite' && html`
            <${Field} label=${t('network.code')} name="code" required autocomplete="off"
              spellcheck=${false} error=${errors.code} />`}
          ${policy !== 'approval' && html`
            <${Button} type="submit" tone="primary" busy=${busy}>${t('network.join')}</>`}`}
      </>
    </div></div>`;
}


// How one may come in, and who sees the network at all.
const POLICIES = {
  open: { join_policy: 'open', visibility: 'public' },
  invite: { join_policy: 'invite', visibility: 'public' },
  hidden: { join_policy: 'invite', visibility: 'private' },
};


export function CreateNetwork({ tenant, onClose }) {
  const key = useMemo(() => crypto.randomUUID(), []);

  async function submit({ name, cidr, policy }) {
    const network = await createNetwork(tenant.id, {
      name: name.trim(), ...POLICIES[policy], ...(cidr.trim() && { cidr: cidr.trim() }),
    }, key);

    onClose();
    navigate(`/t/${tenant.id}/n/${network.id}`);
  }

  return html`
    <${Dialog} title=${t('network.create.title')} onClose=${onClose}>
      <${Form} submit=${submit} label=${t('network.create.title')} fields=${{ name_taken: 'name', slug_taken: 'name' }}>
        ${({ errors, busy }) => html`
          <${Field} label=${t('network.name')} name="name" required maxlength="64" autocomplete="off"
            pattern=".*\\S.*" data-wrong=${t('field.required')}
            placeholder=${t('network.name.placeholder')} error=${errors.name} />
          <${Field} label=${t('network.policy')} name="policy" error=${errors.policy}
            options=${Object.keys(POLICIES).map((value) => [value, t(`network.policy.${value}`)])} />
          <${Field} label=${t('network.cidr')} name="cidr" autocomplete="off" spellcheck=${false}
            placeholder="100.64.0.0/24" hint=${t('network.cidr.hint')} error=${errors.cidr} />
          <div class="actions">
            <${Button} onClick=${onClose}>${t('action.cancel')}</>
            <${Button} type="submit" tone="primary" busy=${busy}>${t('action.create')}</>
          </div>`}
      </>
    </>`;
}
