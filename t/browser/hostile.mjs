import { test } from 'node:test';
import { accept, api, assert, community, device, invite, line, live, member, say, title, url, visitor }
  from './lib/browser.mjs';

const SCRIPT = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>';
const HTML = '"><svg/onload=window.owned=1> {{7*7}} ${window.owned=1}';

const owned = (page) => page.evaluate(() => window.owned);


test('markup in names and in chat is text', async () => {
  const eve = await member('eve');
  const ada = await member('ada');
  const place = await community(eve, {
    name: SCRIPT.slice(0, 64), network: HTML.slice(0, 63), description: `<b>${HTML}</b>` });

  await accept(ada, await invite(eve, place));
  await device(eve, place.network, `${SCRIPT}`.slice(0, 64));

  await ada.page.goto(url + place.path);
  await live(ada.page);
  await title(ada.page, HTML.slice(0, 63));
  await say(ada.page, SCRIPT);
  await say(ada.page, 'javascript:window.owned=1 <a href="javascript:window.owned=1">x</a>');
  await line(ada.page, SCRIPT).waitFor();
  await eve.page.goto(url + place.path);
  await line(eve.page, SCRIPT).waitFor();

  for (const path of [place.path, `/t/${place.tenant.id}`, '/', '/devices', '/start']) {
    await eve.page.goto(url + path);
    await live(eve.page);
    assert.equal(await owned(eve.page), undefined, path);
    assert.equal(await eve.page.locator('main img:not(.logo), main script, main a[href^=javascript]').count(), 0);
  }
  await eve.page.goto(`${url}/t/${place.tenant.id}/settings`);
  await eve.page.getByRole('heading', { name: 'Invites' }).waitFor();

  const made = await invite(eve, place);
  const guest = await visitor();
  await guest.page.goto(made.url);
  await guest.page.getByRole('heading', { name: SCRIPT.slice(0, 30) }).waitFor();
  assert.equal(await owned(guest.page), undefined);

  assert.equal(await owned(ada.page), undefined);
  await guest.close();
  await eve.close();
  await ada.close();
});


test('the way back after signing in never leaves this server', async () => {
  for (const next of ['https://example.org/', '//example.org', '/\\example.org', 'javascript:alert(1)']) {
    const ada = await member('ada');

    ada.allow(/status of 401/);       // a list that was still on its way
    await ada.page.getByRole('button', { name: 'Sign out' }).click();
    await ada.page.getByText('You are signed out.').waitFor();
    await ada.page.goto(`${url}/login?next=${encodeURIComponent(next)}`);
    await ada.page.getByLabel('Username').fill(ada.username);
    await ada.page.getByLabel('Password').fill('correct horse battery');
    await ada.page.getByRole('button', { name: 'Sign in' }).click();
    await ada.page.getByRole('button', { name: 'Sign out' }).waitFor();
    assert.equal(new URL(ada.page.url()).origin, url);
    await ada.close();
  }
});


test('the policy forbids what the dashboard does not need', async () => {
  const guest = await visitor();
  const answer = await guest.page.goto(`${url}/login`);
  const policy = answer.headers()['content-security-policy'];

  assert.match(policy, /default-src '(none|self)'/);
  assert.match(policy, /script-src 'self'(;|$)/);
  assert.match(policy, /style-src 'self'(;|$)/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
  assert.equal(answer.headers()['x-content-type-options'], 'nosniff');

  guest.allow(/csp: script-src/, /Content Security Policy/);
  await guest.page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.owned = 1';
    document.head.append(script);
  });
  assert.equal(await owned(guest.page), undefined);
  assert.ok(guest.problems.some((text) => /csp: script-src/.test(text)), 'the browser told of it');
  await guest.close();
});


test('foreign and unknown places look alike, and say little', async () => {
  const ada = await member('ada');
  const eve = await member('eve');
  const place = await community(ada);
  const texts = [];

  eve.allow(/status of 404/);
  for (const path of [place.path, `/t/${place.tenant.id}`, `/t/${crypto.randomUUID()}`, '/t/nonsense-id/settings']) {
    await eve.page.goto(url + path);
    await title(eve.page, 'There is nothing here');
    texts.push(await eve.page.getByRole('main').innerText());
  }
  assert.equal(new Set(texts).size, 1);
  await eve.close();
  await ada.close();
});


test('long names and long lines stay inside the page', async () => {
  const ada = await member('ada');
  const place = await community(ada, { name: 'W'.repeat(64), network: 'W'.repeat(64) });

  await api('POST', `/v1/networks/${place.network.id}/messages`, { content: 'W'.repeat(4000) }, ada.token);
  await device(ada, place.network, 'W'.repeat(64));
  for (const width of [320, 800, 1280]) {
    await ada.page.setViewportSize({ width, height: 720 });
    for (const path of [place.path, `/t/${place.tenant.id}/settings`, '/', '/devices', '/start']) {
      await ada.page.goto(url + path);
      await live(ada.page);
      assert.ok(await ada.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        `${path} at ${width}`);
    }
  }
  await ada.close();
});


test('a line that is too long is not sent, and says why', async () => {
  const ada = await member('ada');
  const place = await community(ada);

  await ada.page.goto(url + place.path);
  await live(ada.page);
  await say(ada.page, 'x'.repeat(4003));
  await ada.page.getByRole('alert').filter({ hasText: '3 characters too many' }).waitFor();
  assert.equal(await ada.page.getByRole('article').count(), 0);
  await ada.close();
});
