// Who is here: the members of a community or of a network.

import { html } from '/lib/preact.js';
import { load, useResource } from '/model.js';
import { byRole } from '/roles.js';
import { t } from '/strings.js';
import { Avatar, Dot, Empty, Failed, Loading, Role } from '/ui.js';


export function Members({ of, me }) {
  const members = useResource(of);

  if (members.status === 'failed') {
    return html`<${Failed} error=${members.error} again=${() => load(of)} />`;
  }
  if (members.status !== 'ready') return html`<${Loading} />`;
  if (!members.items.length) return html`<${Empty} icon="people" title=${t('members.empty')} level=3 />`;

  const list = [...members.items].sort(byRole);
  const active = list.filter((member) => member.status === 'active');

  const groups = [
    ['online', active.filter((member) => member.online)],
    ['offline', active.filter((member) => !member.online)],
    ['pending', list.filter((member) => member.status === 'pending')],
  ];

  return groups.filter(([, group]) => group.length).map(([name, group]) => html`
    <section class="people" key=${name}>
      <h2>${t(`members.${name}`)} <span class="muted">${group.length}</span></h2>
      <ul>${group.map((member) => html`
        <li key=${member.user_id} class=${`person ${name}`}>
          <span class="with-dot"><${Avatar} name=${member.username} id=${member.user_id} />
            ${name !== 'pending' && html`<${Dot} on=${member.online} />`}</span>
          <span class="person-name">${member.username}${member.user_id === me.id && html`${' '}<small>${t('members.you')}</small>`}${
            member.kind === 'service' && html`${' '}<small>${t('members.service')}</small>`}</span>
          <${Role} role=${member.role} />
        </li>`)}</ul>
    </section>`);
}
