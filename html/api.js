// REST: one function that speaks JSON, renews the access token and turns every
// failure into an ApiError.

import { begin, end, renew, session } from '/session.js';

const TIMEOUT_MS = 20_000;
const RENEW_BEFORE_MS = 20_000;
const PAGE = 100;
const PAGES_MAX = 20;


export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || problem.code);
    this.status = status;             // 0: no answer
    this.code = problem.code;
    this.fields = problem.errors || [];
    this.retryAfter = problem.retryAfter ?? null;
  }

  // worth trying again without a change
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}


// `/v1/tenants/${id}` with every value escaped
export function path(strings, ...values) {
  return strings.reduce((out, part, i) => (
    out + part + (i < values.length ? encodeURIComponent(values[i]) : '')), '');
}


async function send(method, url, { body, token, key }) {
  const headers = { Accept: 'application/json' };
  let response;

  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers['Idempotency-Key'] = key;

  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'omit',
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new ApiError(0, { code: 'unreachable' });
  }

  let answer = null;

  if (response.status !== 204) {
    try {
      answer = await response.json();
    } catch {
      answer = null;
    }
  }

  if (response.ok) return answer;

  const problem = answer && typeof answer.code === 'string'
    ? answer : { code: response.status >= 500 ? 'unreachable' : 'unexpected' };
  const after = Number(response.headers.get('Retry-After'));

  throw new ApiError(response.status, {
    ...problem, retryAfter: after > 0 ? after : null,
  });
}


let renewal = null;


// Renews the tokens once for all who wait, over all tabs where the browser has
// locks. Resolves to a usable access token.
export function renewed(stale) {
  renewal ??= locked(async () => {
    const { tokens } = session.get();

    if (!tokens) throw new ApiError(401, { code: 'session_ended' });
    if (tokens.access !== stale) return tokens.access;

    try {
      renew(await send('POST', '/v1/auth/refresh', {
        body: { refresh_token: tokens.refresh },
      }));
    } catch (error) {
      if (error.status === 401 || error.status === 422) end('expired');
      throw error;
    }
    return session.get().tokens?.access;
  }).finally(() => { renewal = null; });

  return renewal;
}


function locked(work) {
  return navigator.locks
    ? navigator.locks.request('goconnect.renew', work) : work();
}


async function call(method, url, { body, key } = {}) {
  let { tokens } = session.get();
  let token = tokens?.access;

  if (!tokens) throw new ApiError(401, { code: 'session_ended' });
  if (tokens.expires - Date.now() < RENEW_BEFORE_MS) token = await renewed(token);

  try {
    return await send(method, url, { body, token, key });
  } catch (error) {
    if (error.status !== 401) throw error;
  }

  token = await renewed(token);

  try {
    return await send(method, url, { body, token, key });
  } catch (error) {
    if (error.status === 401) end('revoked');
    throw error;
  }
}


export const api = {
  get: (url) => call('GET', url),
  post: (url, body, key) => call('POST', url, { body, key }),
  put: (url, body) => call('PUT', url, { body }),
  patch: (url, body) => call('PATCH', url, { body }),
  delete: (url) => call('DELETE', url),

  // All items of a list, page after page, bounded.
  async list(url) {
    const items = [];
    let cursor = null;

    for (let page = 0; page < PAGES_MAX; page += 1) {
      const query = new URLSearchParams({ limit: PAGE });
      if (cursor) query.set('cursor', cursor);

      const answer = await call('GET',
        `${url}${url.includes('?') ? '&' : '?'}${query}`);

      items.push(...answer.items);
      cursor = answer.next_cursor;
      if (!cursor) break;
    }
    return items;
  },

  // without a session
  preview: (code) => send('GET', path`/v1/invites/${code}`, {}),

  async login(body) {
    begin(await send('POST', '/v1/auth/login', { body }));
  },

  async register(body) {
    begin(await send('POST', '/v1/auth/register', { body }));
  },

  // by the token of a link; whoever is signed in as its account is not any more
  async reset(token, password) {
    await send('POST', '/v1/auth/reset', { body: { token, password } });
    end('password_set', { always: true });
  },

  async logout() {
    try {
      await call('POST', '/v1/auth/logout');
    } catch { /* the tokens are dropped here whatever the server says */ }
    end('signed_out');
  },
};
