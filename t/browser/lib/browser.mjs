// What the browser tests share: Chromium, people with a browser each, the API,
// and the assertion that a page never complained.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before } from 'node:test';

const require = createRequire(process.env.GOCONNECT_NPM);
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const url = process.env.GOCONNECT_URL;
export const PASSWORD = 'correct horse battery';

const WAIT_MS = 30_000;
const AXE_RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];

let browser;
let count = 0;
const people = new Set();


before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--disable-gpu', '--disable-dev-shm-usage',
      ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  });
});

after(async () => {
  await browser?.close();
  lines.close();
  process.stdin.destroy();
});


// Asks the harness (GoConnect::Browser) for something.
const lines = createInterface({ input: process.stdin });
const replies = [];

lines.on('line', (line) => replies.shift()?.(line));

export async function harness(command) {
  const reply = new Promise((resolve) => { replies.push(resolve); });

  process.stdout.write(`${command}\n`);

  const said = await reply;

  assert.notEqual(said, 'failed', command);
  return said;
}


// A browser of somebody: {page, context, problems, allow()}. Whatever the
// pages complain of is collected and must be allowed or absent at close().
export async function visitor(options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ['clipboard-read', 'clipboard-write'],
    locale: 'en-GB',
    ...options,
  });
  const problems = [];
  const allowed = [];

  context.setDefaultTimeout(WAIT_MS);
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      problems.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  context.on('weberror', (error) => problems.push(`exception: ${error.error().stack}`));
  await context.exposeFunction('tellViolation', (text) => problems.push(`csp: ${text}`));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      window.tellViolation(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });

  const me = {
    context,
    page: await context.newPage(),
    problems,

    // lets pass what a test provokes, such as /status of 401/
    allow(...patterns) { allowed.push(...patterns); },

    async close() {
      await context.close();
      people.delete(me);
      assert.deepEqual(problems.filter((text) => (
        !allowed.some((pattern) => pattern.test(text)))), [], 'the pages complain of nothing');
    },
  };

  people.add(me);
  return me;
}


export const unique = (name) => `${name}${(count += 1)}-${process.pid}`;


// Somebody with a new account, signed in by the API; the page is at `path`.
export async function member(name, path = '/', options = {}) {
  const username = unique(name);
  const account = await api('POST', '/v1/auth/register', { username, password: PASSWORD });
  const me = await visitor(options);

  Object.assign(me, { username, id: account.user.id, token: account.access_token });
  await me.page.goto(`${url}/login`);
  await signIn(me.page, username);
  await title(me.page, `Hello, ${username}`);
  if (path !== '/') await me.page.goto(url + path);
  return me;
}


export async function signIn(page, username, password = PASSWORD) {
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}


// One request that must succeed.
export async function api(method, path, body, token) {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();

  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}


// A community with one network, made by the API.
export async function community(owner, { name = 'Friday LAN', network = 'minecraft', ...more } = {}) {
  const tenant = await api('POST', '/v1/tenants', { name }, owner.token);
  const net = await api('POST', `/v1/tenants/${tenant.id}/networks`,
    { name: network, join_policy: 'open', visibility: 'public', ...more }, owner.token);

  if (!net.joined) await api('POST', `/v1/networks/${net.id}/join`, {}, owner.token);
  return { tenant, network: net, path: `/t/${tenant.id}/n/${net.id}` };
}


export const invite = (owner, { tenant, network }, more = {}) => (
  api('POST', `/v1/tenants/${tenant.id}/invites`,
    { network_id: network?.id, ...more }, owner.token));


export async function accept(who, made) {
  await api('POST', `/v1/invites/${made.code}/accept`, undefined, who.token);
}


// A device of somebody, a peer in a network, which comes on line by connect().
export async function device(owner, network, name = 'laptop') {
  const key = () => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64');
  const made = await api('POST', '/v1/devices',
    { name, platform: 'linux', public_key: key() }, owner.token);

  const peer = network && await api('POST', `/v1/networks/${network.id}/peers`,
    { public_key: key() }, made.access_token);

  return {
    ...made,
    peer,

    async connect() {
      const socket = new WebSocket(
        `${url.replace('http', 'ws')}/v1/ws?token=${made.access_token}`);

      await new Promise((resolve, reject) => {
        socket.addEventListener('message', resolve, { once: true });
        socket.addEventListener('error', reject, { once: true });
      });
      return socket;
    },
  };
}


// What axe finds wrong, as lines to read.
export async function violations(page) {
  await page.evaluate(AXE);

  const { violations: found } = await page.evaluate((tags) => window.axe.run(document, {
    runOnly: { type: 'tag', values: tags },
    resultTypes: ['violations'],
  }), AXE_RULES);

  return found.flatMap(({ id, help, nodes }) => nodes.map((node) => (
    `${id}: ${help}: ${node.html.slice(0, 160)} (${node.any[0]?.message ?? ''})`)));
}


// The page's own heading.
export const title = (page, name) => (
  page.getByRole('heading', { level: 1, name, exact: true }).waitFor());

// The page has its WebSocket (its word may be in a panel that is closed).
export const live = (page) => page.locator('.connection.live').waitFor({ state: 'attached' });


export async function say(page, text) {
  await page.getByRole('textbox', { name: /^Write to/ }).fill(text);
  await page.keyboard.press('Enter');
}


export const line = (page, text) => page.getByRole('article').filter({ hasText: text });


export { assert };
