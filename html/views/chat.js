// A channel: lines as they come, newest at the bottom, and where to write.

import { html, useEffect, useLayoutEffect, useRef, useState } from '/lib/preact.js';
import { channels, openChannel, typing } from '/channels.js';
import { channelKey, discard, load, loadOlder, resend, say, useResource } from '/model.js';
import { useStore } from '/store.js';
import { date, day, explain, moment, t, time } from '/strings.js';
import { Avatar, Button, Empty, Failed, Icon, Loading } from '/ui.js';

const LENGTH_MAX = 4000;
const TOGETHER_MS = 5 * 60_000;       // lines of one author under one name
const BOTTOM_PX = 60;

const drafts = new Map();             // channel -> what was not sent yet


export function Chat({ channel, name }) {
  const messages = useResource(channelKey(channel));
  const log = useRef();
  const bottom = useRef(true);
  const height = useRef(0);
  const [away, setAway] = useState(false);
  const last = messages.items.at(-1);

  useEffect(() => {
    const seen = () => { if (!document.hidden) openChannel(channel); };

    openChannel(channel);
    document.addEventListener('visibilitychange', seen);
    return () => {
      document.removeEventListener('visibilitychange', seen);
      openChannel(null);
    };
  }, [channel]);

  function toBottom() {
    log.current.scrollTop = log.current.scrollHeight;
    setAway(false);
  }

  // stay at the newest line; keep the place when older ones come in above
  useLayoutEffect(() => {
    const el = log.current;

    if (!el) return;
    if (bottom.current || last?.pending === 'sending') el.scrollTop = el.scrollHeight;
    else if (el.scrollTop < BOTTOM_PX) el.scrollTop += el.scrollHeight - height.current;
    height.current = el.scrollHeight;
  }, [messages.items]);

  function onScroll({ currentTarget: el }) {
    bottom.current = el.scrollHeight - el.scrollTop - el.clientHeight < BOTTOM_PX;
    setAway(!bottom.current);
  }

  return html`
    <section class="chat" aria-label=${t('chat.label', { name })}>
      <div class="log" ref=${log} onScroll=${onScroll} tabIndex="0" role="log"
        aria-label=${t('chat.label', { name })}>
        ${messages.more && html`<p class="center">
          <${Button} tone="text" busy=${messages.older} onClick=${() => loadOlder(channel)}>${t('chat.older')}</></p>`}
        ${messages.status === 'failed' ? html`<${Failed} error=${messages.error} again=${() => load(channelKey(channel))} />`
          : messages.status !== 'ready' && !messages.items.length ? html`<${Loading} />`
            : messages.items.length ? html`<${Lines} items=${messages.items} channel=${channel} />`
              : html`<${Empty} icon="hash" title=${t('chat.empty.title', { name })}>
                  <p>${t('chat.empty.text')}</p></>`}
      </div>
      ${away && html`<${Button} tone="latest" icon="down" onClick=${toBottom}>${t('chat.latest')}</>`}
      <${Typists} channel=${channel} />
      <${Composer} channel=${channel} name=${name} />
    </section>`;
}


function Typists({ channel }) {
  const list = useStore(channels, (s) => s.typing[channel]) ?? [];
  const key = ['', 'one', 'two'][list.length] ?? 'many';

  return html`<p class="typists" role="status">${key && t(`chat.typing.${key}`,
    { one: list[0].name, two: list[1]?.name })}</p>`;
}


function Lines({ items, channel }) {
  const out = [];
  let before = null;

  for (const message of items) {
    const at = new Date(message.timestamp);
    const newDay = !before || new Date(before.timestamp).toDateString() !== at.toDateString();

    if (newDay) {
      out.push(html`<p class="day" key=${`day-${message.id}`}><span>${day(at)}</span></p>`);
    }
    out.push(html`<${Line} key=${message.id} message=${message} at=${at} channel=${channel}
      follows=${!newDay && before.user_id === message.user_id
        && at - new Date(before.timestamp) < TOGETHER_MS} />`);
    before = message;
  }
  return out;
}


function Line({ message, at, follows, channel }) {
  const { pending, error } = message;

  return html`
    <article class=${`line ${follows ? 'follows' : ''} ${pending ?? ''}`}>
      ${follows ? html`<time class="gutter" dateTime=${message.timestamp} title=${moment(at)}>${time(at)}</time>`
        : html`<${Avatar} name=${message.username} id=${message.user_id} />`}
      <div class="line-body">
        ${!follows && html`<p class="line-head"><strong>${message.username}</strong>
          <time dateTime=${message.timestamp} title=${moment(at)}>${time(at)}</time></p>`}
        ${message.deleted ? html`<p class="text muted"><em>${t('chat.deleted')}</em></p>`
          : html`<p class="text" dir="auto">${message.content}${message.edited_at
              && html` <small class="muted" title=${date(new Date(message.edited_at))}>(${t('chat.edited')})</small>`}</p>`}
        ${pending === 'failed' && html`
          <p class="line-failed" role="alert"><${Icon} name="alert" />
            <span>${t('chat.failed', { reason: explain(error) })}</span>
            <${Button} tone="text" onClick=${() => resend(channel, message)}>${t('action.retry')}</>
            <${Button} tone="text" onClick=${() => discard(channel, message)}>${t('action.discard')}</></p>`}
      </div>
    </article>`;
}


function Composer({ channel, name }) {
  const [text, setText] = useState(drafts.get(channel) ?? '');
  const area = useRef();
  const over = [...text].length - LENGTH_MAX;

  useEffect(() => {
    if (text) drafts.set(channel, text);
    else drafts.delete(channel);
  }, [text]);

  useLayoutEffect(() => {
    area.current.style.height = 'auto';
    area.current.style.height = `${Math.min(area.current.scrollHeight + 2, 160)}px`;
  }, [text]);

  function send(event) {
    event?.preventDefault();
    if (!text.trim() || over > 0) return;
    say(channel, text.trim());
    setText('');
    area.current.focus();
  }

  function onInput({ currentTarget: { value } }) {
    setText(value);
    if (value.trim()) typing(channel);
  }

  function onKeyDown(event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send(event);
  }

  return html`
    <form class="composer" onSubmit=${send} aria-label=${t('chat.placeholder', { name })}>
      <div class=${`composer-box ${over > 0 ? 'wrong' : ''}`}>
        <textarea ref=${area} rows="1" value=${text} dir="auto" enterkeyhint="send"
          aria-label=${t('chat.placeholder', { name })} aria-describedby="composer-hint"
          placeholder=${t('chat.placeholder', { name })} aria-invalid=${over > 0 ? 'true' : undefined}
          onInput=${onInput} onKeyDown=${onKeyDown}></textarea>
        <${Button} type="submit" tone="send" icon="send" label=${t('chat.send')}
          aria-disabled=${text.trim() && over <= 0 ? undefined : 'true'} />
      </div>
      <p class="composer-hint" id="composer-hint" role=${over > 0 ? 'alert' : undefined}>
        ${over > 0 ? t('chat.long', { count: over }) : t('chat.hint')}</p>
    </form>`;
}
