// What of each channel was read, here and in one's other windows, and who is
// typing there. A channel is `tenant:ID` or `network:ID`, as its topic.

import { api, path } from '/api.js';
import { tell } from '/live.js';
import { createStore } from '/store.js';

const MARK_MS = 500;                  // marks of a channel are gathered
const LOAD_MS = 200;
const TOLD_MS = 3000;                 // between two frames of what one types
const TYPING_MS = 6000;               // how long one of them holds

// unread: channel -> count; typing: channel -> [{id, name, until}]
export const channels = createStore({ unread: {}, typing: {} });

let marks = new Map();                // channel -> {number, last}
let me = null;
let open = null;                      // the channel on screen
let loader = null;                    // timer
let meanwhile = null;                 // what came while the marks are read
let again = false;                    // asked for while they are read
let told = new Map();                 // channel -> when it was told that I type
let expiry = null;
const strange = new Set();            // channels heard of, without a mark
const marking = new Map();            // channel -> timer


export const channelOf = ({ tenant_id: tenant, network_id: network }) => (
  network ? `network:${network}` : `tenant:${tenant}`);


export function startChannels(user) {
  stopChannels();
  me = user;
}


export function stopChannels() {
  clearTimeout(loader);
  clearTimeout(expiry);
  for (const timer of marking.values()) clearTimeout(timer);
  marking.clear();
  strange.clear();
  marks = new Map();
  told = new Map();
  me = open = loader = expiry = meanwhile = null;
  again = false;
  channels.set({ unread: {}, typing: {} });
}


// Marks

function count() {
  const unread = {};

  for (const [channel, { number, last }] of marks) {
    if (last > number) unread[channel] = last - number;
  }
  channels.set({ unread });
}


// All marks at once, soon; what comes meanwhile is newer than the answer. An
// answer that is on its way may be older than the reason to ask.
export function loadMarks() {
  if (loader && meanwhile) again = true;
  if (!me || loader) return;
  loader = setTimeout(async () => {
    const owner = me;
    let answer;

    meanwhile = [];
    try {
      answer = await api.get('/v1/users/me/read-marks');
    } catch { /* the next reason to load them will come */ }
    if (me !== owner) return;

    const missed = meanwhile;

    loader = meanwhile = null;
    if (again) {
      again = false;
      loadMarks();
    }
    if (!answer) return;
    marks = new Map(answer.items.map((mark) => (
      [channelOf(mark), { number: mark.number, last: mark.last_number }])));
    for (const apply of missed) apply();
    seen();
    count();
  }, LOAD_MS);
}


// The channel on screen, or null: it has nothing unread.
export function openChannel(channel) {
  open = channel;
  seen();
}


function seen() {
  const mark = open && !document.hidden && marks.get(open);

  if (!mark || mark.last <= mark.number) return;
  mark.number = mark.last;
  count();

  const channel = open;

  if (marking.has(channel)) return;
  marking.set(channel, setTimeout(() => {
    marking.delete(channel);
    save(channel);
  }, MARK_MS));
}


function save(channel) {
  const [scope, id] = channel.split(':');
  const mark = marks.get(channel);

  if (!mark) return;
  api.put(path`/v1/${scope}s/${id}/read-mark`, { number: mark.number })
    .catch(() => {});                 // the next message marks it again
}


// Channels that are not ours any more.
export function lost(list) {
  for (const channel of list) {
    clearTimeout(marking.get(channel));
    marking.delete(channel);
    marks.delete(channel);
  }
  count();
}


function change(apply) {
  meanwhile?.push(apply);
  apply();
  seen();
  count();
}


// A message has come, or what is known of one has changed.
export function heard(message) {
  const channel = channelOf(message);

  silent(channel, message.user_id);
  if (!marks.has(channel) && !strange.has(channel)) {
    strange.add(channel);             // an admin reads where he has no mark
    loadMarks();
  }
  change(() => {
    const mark = marks.get(channel);
    if (mark) mark.last = Math.max(mark.last, message.number);
  });
}


// Another window has read so far, or this one.
export function marked(mark) {
  const channel = channelOf(mark);

  change(() => {
    const last = Math.max(marks.get(channel)?.last ?? 0, mark.last_number);
    marks.set(channel, { number: mark.number, last });
  });
}


// Typing

function typists(channel, change) {
  const { typing } = channels.get();
  const list = change(typing[channel] ?? []);
  const { [channel]: _, ...others } = typing;

  channels.set({ typing: list.length ? { ...others, [channel]: list } : others });
}


export function typed({ users, ...where }) {
  const until = Date.now() + TYPING_MS;
  const more = users.filter(({ user_id: id }) => id !== me?.id)
    .map(({ user_id: id, username: name }) => ({ id, name, until }));

  if (!more.length) return;
  typists(channelOf(where), (list) => [
    ...list.filter(({ id }) => !more.some((other) => other.id === id)), ...more]);
  expiry ??= setTimeout(expire, TYPING_MS);
}


function silent(channel, user) {
  if (channels.get().typing[channel]) {
    typists(channel, (list) => list.filter(({ id }) => id !== user));
  }
}


function expire() {
  const now = Date.now();

  for (const channel of Object.keys(channels.get().typing)) {
    typists(channel, (list) => list.filter(({ until }) => until > now));
  }

  const left = Object.values(channels.get().typing).flat();

  expiry = left.length
    ? setTimeout(expire, Math.min(...left.map(({ until }) => until)) - now)
    : null;
}


// Nothing is known of who types while the connection is away.
export const forgetTypists = () => channels.set({ typing: {} });


// I am typing there: the others are told, now and then.
export function typing(channel) {
  const [scope, id] = channel.split(':');
  const now = Date.now();

  if (now - (told.get(channel) ?? 0) < TOLD_MS) return;
  told.set(channel, now);
  tell('typing', { [`${scope}_id`]: id });
}


// I have said it: what I type next is news.
export const said = (channel) => told.delete(channel);
