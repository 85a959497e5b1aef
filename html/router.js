// Addresses: a table of routes over the History API.

import { createStore, useStore } from '/store.js';

const ID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

const ROUTES = [
  ['home', '/'],
  ['login', '/login'],
  ['register', '/register'],
  ['reset', '/reset'],
  ['accept', '/i/:code'],
  ['start', '/start'],
  ['devices', '/devices'],
  ['device', '/device'],
  ['tenant', '/t/:tenant'],
  ['settings', '/t/:tenant/settings'],
  ['network', '/t/:tenant/n/:network'],
].map(([name, pattern]) => [name, new RegExp(`^${pattern
  .replace(/:(code)/, '(?<$1>[^/]{1,64})')
  .replace(/:(\w+)/g, `(?<$1>${ID})`)}/?$`)]);

const PUBLIC = new Set(['login', 'register', 'reset', 'accept']);

const address = createStore({ route: match() });


function match() {
  for (const [name, pattern] of ROUTES) {
    const found = pattern.exec(location.pathname);
    if (found) {
      return {
        name,
        public: PUBLIC.has(name),
        path: location.pathname,
        query: new URLSearchParams(location.search),
        ...found.groups,
      };
    }
  }
  return { name: 'unknown', path: location.pathname, query: new URLSearchParams() };
}


export const useRoute = () => useStore(address, (s) => s.route);


export function navigate(to, { replace = false } = {}) {
  if (replace) history.replaceState(null, '', to);
  else if (to !== location.pathname + location.search) history.pushState(null, '', to);
  address.set({ route: match() });
}


// A way back after the login: a path of this server and nothing else.
export function safeNext(next) {
  if (!next) return '/';
  try {
    const url = new URL(next, location.origin);
    return url.origin === location.origin ? url.pathname + url.search : '/';
  } catch {
    return '/';
  }
}


export function startRouter() {
  addEventListener('popstate', () => address.set({ route: match() }));

  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[href]');

    if (!link || event.defaultPrevented || event.button !== 0
      || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey
      || link.target || link.hasAttribute('download')
      || link.origin !== location.origin || link.hash
      || link.pathname.startsWith('/v1/')) return;

    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
