// What the dashboard knows: lists read from the API ("resources", by key) and
// how each event changes them. Views ask by key; nothing else writes here.

import { ApiError, api, path } from '/api.js';
import { channelOf, forgetTypists, heard, loadMarks, lost, marked, said, startChannels,
  stopChannels, typed } from '/channels.js';
import { connection, forget, startLive, stopLive, want } from '/live.js';
import { session } from '/session.js';
import { createStore, useStore } from '/store.js';
import { useEffect } from '/lib/preact.js';

const MESSAGES_PAGE = 50;
const MESSAGES_MAX = 1000;            // kept in a channel
const RELOAD_MS = 150;                // events that ask for a reload are gathered
const CALM_MS = 1000;                 // the same, where it is not urgent
const LONG = 100;                     // a list of several pages
const LONG_MS = 20_000;
const TOASTS_MAX = 4;

const fresh = () => ({
  me: null,
  res: {},                            // key -> {status, items, error, more}
  toasts: [],
});

export const model = createStore(fresh());

export const useModel = (select) => useStore(model, select);


// Resources

const RESOURCES = {
  tenants: () => api.list('/v1/tenants?scope=mine'),
  devices: () => api.list('/v1/devices'),
  networks: (id) => api.list(path`/v1/tenants/${id}/networks`),
  members: (id) => api.list(path`/v1/tenants/${id}/members`),
  invites: (id) => api.list(path`/v1/tenants/${id}/invites`),
  'network-members': (id) => api.list(path`/v1/networks/${id}/members`),
  peers: (id) => api.list(path`/v1/networks/${id}/peers`),
  messages: (scope, id) => messagesPage(scope, id, {}),
};

const IDS = { invites: 'id', tenants: 'id', devices: 'id', networks: 'id',
  members: 'user_id', 'network-members': 'user_id', peers: 'id', messages: 'id' };

const NONE = { status: 'none', items: [] };

const loading = new Map();            // key -> frames that arrived meanwhile
const reloads = new Map();            // key -> timer


export const resource = (key) => model.get().res[key] ?? NONE;
const items = (key) => resource(key).items;
const kind = (key) => key.split(':', 1)[0];


function put(key, patch) {
  const { res } = model.get();
  model.set({ res: { ...res, [key]: { ...(res[key] ?? NONE), ...patch } } });
}


function edit(key, change) {
  const now = model.get().res[key];
  if (now && now.status !== 'none') put(key, { items: change(now.items) });
}


const upsert = (key, item, { add = true } = {}) => edit(key, (list) => {
  const id = IDS[kind(key)];
  const i = list.findIndex((other) => other[id] === item[id]);

  if (i < 0) return add ? [...list, item] : list;
  return list.with(i, { ...list[i], ...item });
});

const remove = (key, id) => edit(key,
  (list) => list.filter((other) => other[IDS[kind(key)]] !== id));


// Reads a resource. Events that arrive while the answer is on its way are
// applied to it again, because it may be older than they are.
export async function load(key) {
  if (loading.has(key)) return;

  const [name, ...args] = key.split(':');
  const meanwhile = [];
  const owner = session.get().tokens?.chain;

  loading.set(key, meanwhile);
  if (resource(key).status !== 'ready') put(key, { status: 'loading', error: null });

  try {
    const got = await RESOURCES[name](...args);

    if (session.get().tokens?.chain !== owner) return;
    if (name === 'messages') mergeMessages(key, got.items, { more: got.more });
    else put(key, { items: got });
    put(key, { status: 'ready', error: null });
    if (meanwhile.length) for (const frame of meanwhile) apply(frame);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (session.get().tokens?.chain !== owner) return;
    if (error.status === 404) put(key, { status: 'failed', items: [], error });
    else if (resource(key).status !== 'ready') put(key, { status: 'failed', error });
  } finally {
    loading.delete(key);
  }

  if (name === 'tenants' || name === 'networks') follow();
}


// Forgets what may not be seen any more.
function drop(keys) {
  const res = { ...model.get().res };

  for (const key of keys) {
    clearTimeout(reloads.get(key));
    reloads.delete(key);
    delete res[key];
  }
  model.set({ res });
}


// Asks for a reload soon; many asks make one.
function reload(key, delay = RELOAD_MS) {
  if (!(key in model.get().res) || reloads.has(key)) return;

  reloads.set(key, setTimeout(() => {
    reloads.delete(key);
    if (loading.has(key)) reload(key);
    else if (session.get().tokens) load(key);
  }, delay + Math.random() * delay));
}


// The resource of a key; reads it if nobody did.
export function useResource(key) {
  const found = useModel((s) => (key ? s.res[key] : null)) ?? NONE;

  useEffect(() => {
    if (key && resource(key).status === 'none') load(key);
  }, [key, found.status]);

  return found;
}


// Messages

async function messagesPage(scope, id, query) {
  const search = new URLSearchParams({ limit: MESSAGES_PAGE, ...query });
  const answer = await api.get(
    `${path`/v1/${scope}s/${id}/messages`}?${search}`);

  return { items: answer.items, more: answer.items.length === MESSAGES_PAGE };
}


export const channelKey = (channel) => `messages:${channel}`;


// Adds messages to a channel in the order of their number, drops those that it
// has already, and the line of our own that was waiting for its answer.
function mergeMessages(key, more, patch = {}) {
  const known = new Map(items(key).map((message) => [message.id, message]));

  for (const message of more) {
    if (!known.has(message.id)) {
      const own = ownPending([...known.values()], message);
      if (own) known.delete(own.id);
    }
    known.set(message.id, { ...known.get(message.id), ...message });
  }

  const order = (m) => (m.number ?? Infinity);
  const list = [...known.values()].sort((a, b) => (
    order(a) === order(b) ? a.timestamp.localeCompare(b.timestamp)
      : order(a) - order(b)));

  put(key, { ...patch, items: list.slice(-MESSAGES_MAX) });
}


const ownPending = (list, message) => (message.user_id === model.get().me?.id
  ? list.find((other) => other.pending && other.content === message.content)
  : undefined);


export async function loadOlder(channel) {
  const key = channelKey(channel);
  const first = items(key).find((message) => message.seq !== undefined);
  const [scope, id] = channel.split(':');

  if (!first || resource(key).older) return;
  put(key, { older: true });
  try {
    const got = await messagesPage(scope, id, { before_seq: first.seq });
    mergeMessages(key, got.items, {
      more: got.more && items(key).length + got.items.length < MESSAGES_MAX,
    });
  } catch (error) {
    toast(error);
  } finally {
    put(key, { older: false });
  }
}


export function say(channel, content) {
  const me = model.get().me;
  const [scope, id] = channel.split(':');

  const message = {
    id: crypto.randomUUID(),          // until the server gives one
    key: crypto.randomUUID(),
    tenant_id: scope === 'tenant' ? id : null,
    network_id: scope === 'network' ? id : null,
    user_id: me.id,
    username: me.username,
    content,
    timestamp: new Date().toISOString(),
    edited_at: null,
    deleted: false,
    pending: 'sending',
  };

  mergeMessages(channelKey(channel), [message]);
  said(channel);
  deliver(channel, message);
}


async function deliver(channel, message) {
  const key = channelKey(channel);
  const [scope, id] = channel.split(':');

  try {
    const answer = await api.post(path`/v1/${scope}s/${id}/messages`,
      { content: message.content }, message.key);

    remove(key, message.id);
    mergeMessages(key, [answer]);
  } catch (error) {
    // the event may have told already that it arrived
    if (items(key).some((other) => other.id === message.id)) {
      upsert(key, { ...message, pending: 'failed', error });
    }
  }
}


export function resend(channel, message) {
  const again = { ...message, pending: 'sending', error: null };

  upsert(channelKey(channel), again);
  deliver(channel, again);
}


export const discard = (channel, message) => (
  remove(channelKey(channel), message.id));


// Toasts

let toastId = 0;

export function toast(what, tone = 'error') {
  toastId += 1;

  const entry = { id: toastId, tone, what };

  model.set({ toasts: [...model.get().toasts, entry].slice(-TOASTS_MAX) });
  if (tone !== 'error') setTimeout(() => dismiss(entry.id), 5000);
}


export const dismiss = (id) => model.set({
  toasts: model.get().toasts.filter((entry) => entry.id !== id),
});


// Events

const EVENTS = {
  chat_message(data, { seq }) {
    const key = channelKey(channelOf(data));
    const has = key in model.get().res;
    const known = has && items(key).some((message) => message.id === data.id);
    const later = data.deleted || data.edited_at;

    // a change of a line that is not loaded would stand there alone
    if (known) mergeMessages(key, [data]);
    else if (has && !later) mergeMessages(key, [{ ...data, seq }]);
    heard(data);
  },

  read_mark: marked,

  typing: typed,

  member({ change, tenant_id: tenant, network_id: network, member }) {
    const key = network ? `network-members:${network}` : `members:${tenant}`;

    if (change === 'removed') remove(key, member.user_id);
    else upsert(key, member);

    if (!network && change !== 'changed') reload('tenants', CALM_MS);
    if (member.user_id === model.get().me?.id) {
      reload('tenants');
      reload(`networks:${tenant}`);
    }
  },

  request({ tenant_id: tenant, network_id: network, request }) {
    reload(`network-members:${network}`);
    if (request.user_id === model.get().me?.id) reload(`networks:${tenant}`);
  },

  ban({ ban: { tenant_id: tenant, network_id: network, user_id: user } }) {
    reload(network ? `network-members:${network}` : `members:${tenant}`);
    if (user === model.get().me?.id) reload('tenants');
  },

  network({ change, network }) {
    const key = `networks:${network.tenant_id}`;

    if (change === 'removed') remove(key, network.id);
    else reload(key);                 // what it is to us is not in the event
  },

  tenant({ change, tenant }) {
    if (change === 'removed') remove('tenants', tenant.id);
    else reload('tenants');
    follow();
  },

  netmap_delta({ network_id: id, upsert: more, remove: less }) {
    edit(`peers:${id}`, (list) => {
      const next = new Map(list.map((peer) => [peer.id, peer]));
      for (const peer of more) {
        next.set(peer.id, { online: false, network_id: id, ...next.get(peer.id), ...peer });
      }
      for (const gone of less) next.delete(gone);
      return [...next.values()];
    });

    const me = model.get().me?.id;
    if (more.some((peer) => peer.user_id === me)) reload('devices');
  },

  peer_status({ network_id: id, peers, ...one }) {
    for (const { peer_id: peer, status, endpoint } of peers ?? [one]) {
      peerStatus(id, peer, status === 'online', endpoint);
    }
  },

  presence({ tenant_id: tenant, users, ...one }) {
    for (const { user_id: user, status } of users ?? [one]) {
      userStatus(tenant, user, status === 'online');
    }
  },

  self() {
    reload('devices');
  },

  revoked({ scope, network_id: network, tenant_id: tenant, topics, session_id: id }) {
    if (topics) {
      forget(topics);
      lost(topics);
    }

    if (scope === 'session') {
      if (!id || id === model.get().me?.session) checkSession();
    } else if (scope === 'device') {
      reload('devices');
    } else {
      if (scope === 'tenant') remove('tenants', tenant);
      if (network) {
        upsert(`networks:${tenant}`, { id: network, joined: false }, { add: false });
        drop(about(`network:${network}`));
      }
      if ((network || scope === 'role') && tenant) reload(`networks:${tenant}`);
      reload('tenants');
    }
  },
};


// Reads again what an event tells too little about; a long list less often.
const refresh = (key) => reload(key, items(key).length > LONG ? LONG_MS : CALM_MS);


// A peer went on or off line: so did its device.
function peerStatus(network, id, online, endpoint) {
  const key = `peers:${network}`;
  const peer = items(key).find((other) => other.id === id);

  if (!peer) {                        // of a network that was not looked at
    refresh('devices');
    return;
  }

  upsert(key, { id, online, ...(endpoint ? { endpoint } : {}),
    ...(online ? {} : { last_seen: new Date().toISOString() }) });
  upsert('devices', { id: peer.device_id, online }, { add: false });
}


// A user went on or off line: so in the tenant's list and in its networks'.
function userStatus(tenant, user, online) {
  const change = { user_id: user, online,
    ...(online ? {} : { last_seen: new Date().toISOString() }) };

  upsert(`members:${tenant}`, change, { add: false });
  for (const network of items(`networks:${tenant}`)) {
    upsert(`network-members:${network.id}`, change, { add: false });
  }
}


function apply(frame) {
  EVENTS[frame.type]?.(frame.data, frame);
}


// Which resources tell of a topic: read again when it starts from scratch.
function about(topic) {
  const [scope, rest] = topic.split(':');
  const id = rest?.split('/')[0];

  if (scope === 'user') return ['tenants', 'devices'];
  if (scope === 'tenant') {
    return ['tenants', `networks:${id}`, `members:${id}`, `invites:${id}`,
      `messages:tenant:${id}`];
  }
  if (scope === 'network') {
    return [`network-members:${id}`, `peers:${id}`, `messages:network:${id}`];
  }
  return [];
}


// Life

async function checkSession() {
  try {
    const { user, session: mine } = await api.get('/v1/auth/me');
    model.set({ me: { ...user, session: mine.id } });
  } catch { /* a refused session has ended itself in api.js */ }
}


function follow() {
  const { me, res } = model.get();

  if (!me) return;

  const topics = [`user:${me.id}`];
  for (const { id, role } of items('tenants')) if (role) topics.push(`tenant:${id}`);
  for (const key of Object.keys(res)) {
    if (!key.startsWith('networks:')) continue;
    for (const network of items(key)) {
      if (network.joined) topics.push(`network:${network.id}`);
    }
  }
  want(topics);
}


// Begins for whoever is signed in. Throws ApiError if the server is away.
export async function start() {
  const { user, session: mine } = await api.get('/v1/auth/me');

  model.set({ ...fresh(), toasts: model.get().toasts,
    me: { ...user, session: mine.id } });
  startChannels(user);
  startLive({
    frame(frame) {
      for (const meanwhile of loading.values()) meanwhile.push(frame);
      apply(frame);
    },
    fresh(topics) {
      for (const key of new Set(topics.flatMap(about))) reload(key, 20);
      loadMarks();
    },
    // presence has no seq: it is read again, and so is what failed meanwhile
    resumed() {
      forgetTypists();
      for (const [key, { status }] of Object.entries(model.get().res)) {
        if (status === 'failed'
          || /^(devices|peers|members|network-members)(:|$)/.test(key)) reload(key, 20);
      }
    },
    checkSession,
  });
  await load('tenants');
  follow();
}


export function stop() {
  stopLive();
  stopChannels();
  for (const timer of reloads.values()) clearTimeout(timer);
  reloads.clear();
  model.set({ ...fresh(), toasts: model.get().toasts });
}


export { connection };


// What the user does

export function signOut() {
  stopLive();                         // or its end would ask what happened
  return api.logout();
}


export async function createTenant(body, key) {
  const tenant = await api.post('/v1/tenants', body, key);
  await load('tenants');
  return tenant;
}


export async function updateTenant(id, body) {
  const tenant = await api.patch(path`/v1/tenants/${id}`, body);
  upsert('tenants', tenant);
  return tenant;
}


export async function deleteTenant(id) {
  await api.delete(path`/v1/tenants/${id}`);
  remove('tenants', id);
}


export async function acceptMembership(id) {
  await api.post(path`/v1/tenants/${id}/members/accept`);
  await load('tenants');
  for (const key of [`networks:${id}`, `members:${id}`]) reload(key, 0);
}


export async function addMember(tenant, body) {
  const member = await api.post(path`/v1/tenants/${tenant}/members`, body);
  upsert(`members:${tenant}`, member);
  return member;
}


export async function createNetwork(tenant, body, key) {
  const network = await api.post(path`/v1/tenants/${tenant}/networks`, body, key);
  upsert(`networks:${tenant}`, network);
  await load(`networks:${tenant}`);
  return network;
}


export async function deleteNetwork(network) {
  await api.delete(path`/v1/networks/${network.id}`);
  remove(`networks:${network.tenant_id}`, network.id);
}


export async function joinNetwork(network, code) {
  await api.post(path`/v1/networks/${network.id}/join`, code ? { code } : {});
  await load(`networks:${network.tenant_id}`);
  for (const key of about(`network:${network.id}`)) reload(key, 0);
  loadMarks();
}


export async function leaveNetwork(network) {
  lost([`network:${network.id}`]);
  await api.post(path`/v1/networks/${network.id}/leave`);
  upsert(`networks:${network.tenant_id}`, { id: network.id, joined: false }, { add: false });
  drop(about(`network:${network.id}`));
  await load(`networks:${network.tenant_id}`);
}


export async function createInvite(tenant, body) {
  const invite = await api.post(path`/v1/tenants/${tenant}/invites`, body);
  reload(`invites:${tenant}`, 0);
  return invite;
}


export async function deleteInvite(invite) {
  await api.delete(path`/v1/invites/${invite.id}`);
  remove(`invites:${invite.tenant_id}`, invite.id);
}


export async function acceptInvite(code) {
  const answer = await api.post(path`/v1/invites/${code}/accept`);
  const { tenant } = answer;

  await load('tenants');
  if (`networks:${tenant.id}` in model.get().res) await load(`networks:${tenant.id}`);
  reload(`members:${tenant.id}`, 0);
  return answer;
}


export async function renameDevice(device, name) {
  upsert('devices', await api.patch(path`/v1/devices/${device.id}`, { name }));
}


export async function deleteDevice(device) {
  await api.delete(path`/v1/devices/${device.id}`);
  remove('devices', device.id);
}
