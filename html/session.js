// The signed-in session: two tokens in sessionStorage, which ends with the tab.
// Tabs of one browser share it over a BroadcastChannel, so that an invite
// link in a new tab does not ask for the password again, and so that two tabs
// which hold one refresh token do not use it twice.

import { createStore } from '/store.js';

const KEY = 'goconnect.session';
const ASK_MS = 120;

const channel = 'BroadcastChannel' in window
  ? new BroadcastChannel('goconnect.session') : null;

let asked = null;                     // our question, while it waits

// `tokens` is null or {access, refresh, expires (ms), session}
export const session = createStore({ tokens: read(), ended: null });


function read() {
  try {
    const tokens = JSON.parse(sessionStorage.getItem(KEY));
    return tokens && tokens.access && tokens.refresh ? tokens : null;
  } catch {
    return null;
  }
}


function keep(tokens, ended = null) {
  try {
    if (tokens) sessionStorage.setItem(KEY, JSON.stringify(tokens));
    else sessionStorage.removeItem(KEY);
  } catch { /* storage may be forbidden: the session then lasts for the page */ }
  session.set({ tokens, ended });
}


// Takes the tokens of an answer. `chain` tells the sessions of other tabs that
// descend from the same login from those of another one.
export function begin(answer) {
  const old = session.get().tokens;
  const tokens = {
    access: answer.access_token,
    refresh: answer.refresh_token,
    expires: Date.now() + answer.expires_in * 1000,
    chain: crypto.randomUUID(),
  };

  keep(tokens);
  if (old) channel?.postMessage({ type: 'end', chain: old.chain });
}


export function renew(answer) {
  const old = session.get().tokens;

  if (!old) return;
  keep({
    access: answer.access_token,
    refresh: answer.refresh_token,
    expires: Date.now() + answer.expires_in * 1000,
    chain: old.chain,
  });
  channel?.postMessage({ type: 'tokens', tokens: session.get().tokens });
}


// `reason` is shown on the login page: 'signed_out', 'expired', 'revoked' or
// 'password_set', which `always` shows though nobody was signed in.
export function end(reason, { always = false } = {}) {
  const old = session.get().tokens;

  if (!old && !always) return;
  keep(null, reason);
  if (old) channel?.postMessage({ type: 'end', chain: old.chain, reason });
}


channel?.addEventListener('message', ({ data }) => {
  const { tokens } = session.get();

  if (data.type === 'ask') {
    if (tokens) channel.postMessage({ type: 'tokens', tokens, to: data.from });
  } else if (data.type === 'tokens') {
    if (tokens ? tokens.chain === data.tokens.chain
      && tokens.expires <= data.tokens.expires : data.to === asked) {
      keep(data.tokens);
    }
  } else if (data.type === 'end' && tokens && tokens.chain === data.chain) {
    keep(null, data.reason ?? 'signed_out');
  }
});


// Resolves when it is known whether another tab has a session to share.
export function adopt() {
  if (session.get().tokens || !channel) return Promise.resolve();

  asked = crypto.randomUUID();
  channel.postMessage({ type: 'ask', from: asked });

  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      unwatch();
      asked = null;
      resolve();
    };
    const timer = setTimeout(done, ASK_MS);
    const unwatch = session.watch(done);
  });
}
