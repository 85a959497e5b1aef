// One WebSocket for everything that changes (docs/protocol.md): comes back by
// itself, resumes each topic by its `seq`, notices a gap and asks for it.

import { api, renewed } from '/api.js';
import { session } from '/session.js';
import { createStore } from '/store.js';

const HELLO_MS = 10_000;
const ANSWER_MS = 10_000;
const PING_MS = 30_000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 20_000;
const TOPICS_MAX = 256;               // in one subscribe

const CLOSE_TOKEN = 4001;
const CLOSE_REVOKED = 4003;
const CLOSE_SLOW = 4008;

// status: 'off', 'connecting', 'live' or 'waiting'; `away` once an attempt
// failed and until the next hello; `retryAt` while waiting
export const connection = createStore({
  status: 'off', away: false, retryAt: null,
});

let handlers = { frame() {}, fresh() {}, resumed() {}, checkSession() {} };
let socket = null;
let wanted = new Set();               // what the model asks for
let offered = new Set();              // what hello named
let seen = new Map();                 // topic -> last seq; undefined: not yet
let subscribed = new Set();
let catching = new Set();             // topics with a gap that was asked for
let answers = new Map();              // id -> {resolve, reject, timer}
let epoch = null;
let attempts = 0;
let serverDelay;
let lastId = 0;
let timer = null;                     // for the hello, or for the next attempt
let heart = null;


export function startLive(given) {
  handlers = given;
  if (connection.get().status === 'off') connect();
}


export function stopLive() {
  connection.set({ status: 'off', away: false, retryAt: null });
  drop();
  wanted = new Set();
  offered = new Set();
  seen = new Map();
  epoch = null;
  attempts = 0;
}


// The topics that the model has a use for, besides those that hello names.
export function want(topics) {
  wanted = new Set(topics);
  reconcile();
}


async function connect() {
  clearTimeout(timer);
  connection.set({ status: 'connecting', retryAt: null });

  let answer;
  const token = session.get().tokens;

  try {
    answer = await api.post('/v1/ws/ticket', {});
  } catch (error) {
    if (connection.get().status === 'connecting'
      && session.get().tokens) later(error.retryAfter);
    return;
  }

  // signed out, or in as somebody else, meanwhile
  if (connection.get().status !== 'connecting' || socket
    || session.get().tokens?.chain !== token?.chain) return;

  const url = new URL('/v1/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.searchParams.set('ticket', answer.ticket);

  const mine = new WebSocket(url);

  socket = mine;
  timer = setTimeout(() => mine.close(), HELLO_MS);
  mine.addEventListener('message', ({ data }) => {
    if (socket === mine) receive(data);
  });
  mine.addEventListener('close', ({ code }) => {
    if (socket === mine) closed(code);
  });
}


function drop() {
  const old = socket;

  socket = null;
  clearTimeout(timer);
  clearInterval(heart);
  for (const { reject, timer: t } of answers.values()) {
    clearTimeout(t);
    reject(new Error('disconnected'));
  }
  answers = new Map();
  subscribed = new Set();
  catching = new Set();
  old?.close();
}


async function closed(code) {
  drop();

  if (code === CLOSE_REVOKED) {
    connection.set({ status: 'connecting' });
    await handlers.checkSession();
    if (connection.get().status !== 'connecting') return;
  } else if (code === CLOSE_TOKEN) {
    try {
      await renewed(session.get().tokens?.access);
    } catch { /* the next attempt tells */ }
  } else if (code === CLOSE_SLOW && attempts === 0) {
    connect();
    return;
  }

  if (session.get().tokens) later(serverDelay);
}


// Waits before the next attempt: exponential, with jitter, or as told.
function later(seconds) {
  const delay = Number.isFinite(seconds)
    ? (seconds + Math.random()) * 1000
    : Math.min(BACKOFF_MS * 2 ** attempts, BACKOFF_MAX_MS)
      * (0.5 + Math.random() / 2);

  attempts += 1;
  serverDelay = undefined;
  clearTimeout(timer);
  timer = setTimeout(connect, delay);
  connection.set({ status: 'waiting', away: true, retryAt: Date.now() + delay });
}


export function retryNow() {
  if (connection.get().status === 'waiting') connect();
}


addEventListener('online', retryNow);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) retryNow();
});


function receive(text) {
  let frame;

  try {
    frame = JSON.parse(text);
  } catch {
    return;
  }

  if (frame.type === 'hello') hello(frame.data);
  else if (frame.id && answers.has(frame.id)) answered(frame);
  else if (frame.type === 'error') serverDelay = frame.data?.retry_after;
  else if (frame.type === 'resync') resync(frame);
  else if (frame.topic && Number.isInteger(frame.seq)) event(frame);
  else handlers.frame(frame);
}


function hello(data) {
  const again = epoch !== null;

  clearTimeout(timer);
  attempts = 0;
  offered = new Set(data.topics.map(({ topic }) => topic));

  if (epoch !== data.epoch) seen = new Map();
  epoch = data.epoch;

  heart = setInterval(beat, PING_MS);
  connection.set({ status: 'live', away: false, retryAt: null });
  reconcile();
  if (again) handlers.resumed();
}


function beat() {
  const mine = socket;

  request('ping', {}).catch(() => {
    if (socket === mine) mine?.close();
  });
}


function request(type, data) {
  return new Promise((resolve, reject) => {
    if (socket?.readyState !== WebSocket.OPEN) {
      reject(new Error('disconnected'));
      return;
    }

    lastId += 1;

    const id = String(lastId);
    const wait = setTimeout(() => {
      answers.delete(id);
      reject(new Error('timeout'));
    }, ANSWER_MS);

    answers.set(id, { resolve, reject, timer: wait });
    socket.send(JSON.stringify({ type, id, data }));
  });
}


// What nobody needs an answer to.
export const tell = (type, data) => { request(type, data).catch(() => {}); };


function answered(frame) {
  const { resolve, reject, timer: wait } = answers.get(frame.id);

  clearTimeout(wait);
  answers.delete(frame.id);
  if (frame.type === 'error') reject(Object.assign(new Error(), frame.data));
  else resolve(frame.data);
}


// Brings the subscriptions in line with what is wanted.
function reconcile() {
  if (connection.get().status !== 'live') return;

  const target = new Set([...offered, ...wanted]);
  const more = [...target].filter((topic) => !subscribed.has(topic));
  const less = [...subscribed].filter((topic) => !target.has(topic));

  for (const topic of less) {
    subscribed.delete(topic);
    seen.delete(topic);
  }
  if (less.length) request('unsubscribe', { topics: less }).catch(() => {});

  for (let i = 0; i < more.length; i += TOPICS_MAX) {
    subscribe(more.slice(i, i + TOPICS_MAX));
  }
}


async function subscribe(topics) {
  const fresh = topics.filter((topic) => !seen.has(topic));
  let answer;

  for (const topic of topics) subscribed.add(topic);

  try {
    answer = await request('subscribe', {
      topics: topics.map((topic) => ({ topic, seq: seen.get(topic) ?? null })),
    });
  } catch {
    if (socket?.readyState === WebSocket.OPEN) socket.close();
    return;
  }

  for (const { topic, seq } of answer.topics) {
    catching.delete(topic);
    if (!seen.has(topic)) seen.set(topic, seq);
  }
  for (const { topic } of answer.refused) {
    offered.delete(topic);
    seen.delete(topic);
  }

  if (fresh.length) handlers.fresh(fresh);
}


function event(frame) {
  const { topic, seq } = frame;
  const last = seen.get(topic);

  if (last !== undefined) {
    if (seq <= last || catching.has(topic) && seq > last + 1) return;

    if (seq > last + 1) {
      catching.add(topic);
      subscribe([topic]);
      return;
    }
  }

  seen.set(topic, seq);
  handlers.frame(frame);
}


// The server no longer has what was missed: begin anew from where it is.
function resync({ topic, seq }) {
  if (Number.isInteger(seq)) seen.set(topic, seq);
  else seen.delete(topic);
  handlers.fresh([topic]);
}


// A topic that has ended for this user (the server has dropped it already).
export function forget(topics) {
  for (const topic of topics) {
    offered.delete(topic);
    wanted.delete(topic);
    subscribed.delete(topic);
    seen.delete(topic);
  }
}
