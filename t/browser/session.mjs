import { test } from 'node:test';
import { PASSWORD, accept, api, assert, community, harness, invite, line, live, member, say, signIn, title, url, visitor }
  from './lib/browser.mjs';

const tokens = (page) => page.evaluate(() => JSON.parse(sessionStorage.getItem('goconnect.session')));

// changes the kept tokens and loads the page anew
async function tamper(page, change) {
  const kept = { ...await tokens(page), ...change };
  await page.evaluate((value) => sessionStorage.setItem('goconnect.session', value),
    JSON.stringify(kept));
  await page.reload();
}


test('signing out ends the session at the server, and signing in begins one', async () => {
  const ada = await member('ada', '/devices');
  const before = await tokens(ada.page);

  ada.allow(/status of 401/);
  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await ada.page.getByText('You are signed out.').waitFor();
  assert.equal(await tokens(ada.page), null);

  const refused = await fetch(`${url}/v1/auth/me`, { headers: { Authorization: `Bearer ${before.access}` } });
  assert.equal(refused.status, 401);

  await signIn(ada.page, ada.username, 'not the password');
  await ada.page.getByRole('alert').filter({ hasText: 'Username or password is wrong.' }).waitFor();
  await signIn(ada.page, ada.username);
  await ada.page.getByRole('button', { name: 'Sign out' }).waitFor();
  await live(ada.page);
  await ada.close();
});


test('a name that is taken is said at the field', async () => {
  const ada = await member('ada');
  const eve = await visitor();

  eve.allow(/status of (409|422)/);
  await eve.page.goto(`${url}/register`);
  await eve.page.getByLabel('Username').fill('a!');
  await eve.page.getByLabel('Password').fill('short');
  await eve.page.getByRole('button', { name: 'Create account' }).click();
  assert.equal(await eve.page.locator('[aria-invalid=true]').count(), 2);
  await eve.page.getByLabel('Username').fill(ada.username);
  await eve.page.getByLabel('Password').fill(PASSWORD);
  await eve.page.getByRole('button', { name: 'Create account' }).click();
  await eve.page.locator('.field-error', { hasText: 'This username is taken.' }).waitFor();
  await eve.close();
  await ada.close();
});


test('an access token that has run out is renewed unseen', async () => {
  const ada = await member('ada', '/devices');
  const before = await tokens(ada.page);

  // by the clock: before it is used
  await tamper(ada.page, { expires: 0 });
  await title(ada.page, 'My devices');
  await live(ada.page);
  const after = await tokens(ada.page);
  assert.notEqual(after.refresh, before.refresh);

  // by the server's 401, many requests at once
  ada.allow(/status of 401/);
  await tamper(ada.page, { access: `${after.access.slice(0, -4)}AAAA` });
  await title(ada.page, 'My devices');
  await live(ada.page);
  assert.notEqual((await tokens(ada.page)).refresh, after.refresh);
  await ada.close();
});


test('a session that cannot be renewed ends with words', async () => {
  const ada = await member('ada', '/devices');

  ada.allow(/status of 40[01]|status of 422/);
  await tamper(ada.page, { expires: 0, refresh: 'A'.repeat(43) });
  await ada.page.getByText('Your session has ended. Sign in again.').waitFor();
  await signIn(ada.page, ada.username);
  await title(ada.page, 'My devices');
  await ada.close();
});


test('a session ended elsewhere closes this page at once', async () => {
  const ada = await member('ada', '/devices');

  ada.allow(/status of 401/);
  await live(ada.page);
  const { access } = await tokens(ada.page);
  await api('POST', '/v1/auth/logout', undefined, access);
  await ada.page.getByRole('button', { name: 'Sign in' }).waitFor();
  await ada.close();
});


test('a second tab shares the session, and both end together', async () => {
  const ada = await member('ada');

  ada.allow(/status of 401/);           // the first tab asks whether it is over

  const second = await ada.context.newPage();

  await second.goto(`${url}/devices`);
  await title(second, 'My devices');

  // both renew at once: one refresh token, used once
  const before = await tokens(second);
  for (const page of [ada.page, second]) {
    await page.evaluate((value) => sessionStorage.setItem('goconnect.session', value),
      JSON.stringify({ ...before, expires: 0 }));
  }
  await Promise.all([ada.page.reload(), second.reload()]);
  await live(ada.page);
  await live(second);
  assert.equal((await tokens(ada.page)).chain, before.chain);

  await second.getByRole('button', { name: 'Sign out' }).click();
  await ada.page.getByRole('button', { name: 'Sign in' }).waitFor();
  await ada.close();
});


test('the server goes away and comes back', async (t) => {
  const ada = await member('ada');
  const bob = await member('bob');
  const place = await community(ada);

  await accept(bob, await invite(ada, place));
  for (const who of [ada, bob]) {
    who.allow(/ERR_CONNECTION_REFUSED|WebSocket connection|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 50[234]/);
    await who.page.goto(url + place.path);
    await live(who.page);
  }
  await say(ada.page, 'before');
  await line(bob.page, 'before').waitFor();

  await t.test('it is said, and what was loaded stays', async () => {
    await harness('halt');
    await ada.page.getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor();
    await ada.page.getByText('Not connected').waitFor();
    assert.equal(await line(ada.page, 'before').isVisible(), true);
  });

  await t.test('a line that could not be sent says so and is kept', async () => {
    await say(ada.page, 'meanwhile');
    await line(ada.page, 'meanwhile').getByRole('alert').waitFor();
  });

  await t.test('it recovers by itself', async () => {
    await harness('restart');
    await live(ada.page);
    await live(bob.page);
    await ada.page.getByText('The server cannot be reached.', { exact: true }).waitFor({ state: 'detached' });
  });

  await t.test('the line is sent at the second try, once', async () => {
    await line(ada.page, 'meanwhile').getByRole('button', { name: 'Try again' }).click();
    await line(bob.page, 'meanwhile').waitFor();
    await ada.page.waitForFunction(() => !document.querySelector('.line.sending, .line.failed'));
    assert.equal(await line(ada.page, 'meanwhile').count(), 1);
  });

  await t.test('live goes on: what was said while away is there', async () => {
    await bob.context.setOffline(true);
    await bob.page.evaluate(() => dispatchEvent(new Event('offline')));
    await say(ada.page, 'one that bob misses');
    await line(ada.page, 'one that bob misses').waitFor();
    await bob.context.setOffline(false);
    await line(bob.page, 'one that bob misses').waitFor();
    assert.equal(await line(bob.page, 'one that bob misses').count(), 1);
  });

  await ada.close();
  await bob.close();
});


test('a page opened while the database is away waits for it', async () => {
  const ada = await member('ada');

  ada.allow(/status of 503|WebSocket|ERR_/);
  await harness('database stop');
  await ada.page.reload();
  await title(ada.page, 'The server cannot be reached.');
  await harness('database start');
  await title(ada.page, `Hello, ${ada.username}`);
  await live(ada.page);
  await ada.close();
});


test('an event that was lost or told twice does no harm', async () => {
  const ada = await member('ada');
  const bob = await member('bob');
  const place = await community(ada);
  const asked = [];
  let lose = 0;

  await accept(bob, await invite(ada, place));

  // between bob and the server: loses what it is told to, repeats all the rest
  await bob.context.routeWebSocket(/\/v1\/ws/, (page) => {
    const server = page.connectToServer();

    page.onMessage((text) => {
      asked.push(JSON.parse(text));
      server.send(text);
    });
    server.onMessage((text) => {
      const chat = JSON.parse(text).type === 'chat_message';

      if (chat && lose) {
        lose -= 1;
        return;
      }
      page.send(text);
      if (chat) page.send(text);
    });
  });

  await bob.page.goto(url + place.path);
  await live(bob.page);
  await bob.page.getByText('This is the beginning of').waitFor();

  const post = (content) => api('POST', `/v1/networks/${place.network.id}/messages`,
    { content }, ada.token);
  const before = (await post('one')).seq;

  await line(bob.page, 'one').waitFor();
  lose = 2;
  await post('two');
  await post('three');
  await post('four');
  await line(bob.page, 'four').waitFor();
  assert.deepEqual(await bob.page.locator('.line .text').allTextContents(),
    ['one', 'two', 'three', 'four']);

  const topic = `network:${place.network.id}`;
  assert.deepEqual(asked.filter(({ type }) => type === 'subscribe')
    .flatMap(({ data }) => data.topics).filter((one) => one.topic === topic).map(({ seq }) => seq),
  [null, before], 'it asked for what came after the last that it had');
  await ada.close();
  await bob.close();
});
