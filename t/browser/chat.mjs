import { test } from 'node:test';
import { accept, api, assert, community, invite, line, live, member, say, title, url, violations }
  from './lib/browser.mjs';


test('a channel is alive', async (t) => {
  const ada = await member('ada');
  const bob = await member('bob');
  const made = await community(ada);
  const lounge = `/t/${made.tenant.id}`;
  const typists = (who) => who.page.locator('.typists');
  const box = (who) => who.page.getByRole('textbox', { name: /^Write to/ });
  const channel = (who, name) => who.page.getByRole('link', { name, exact: true });

  const post = (who, content) => api('POST', `/v1/networks/${made.network.id}/messages`,
    { content }, who.token);

  await accept(bob, await invite(ada, made));
  for (const who of [ada, bob]) {
    await who.page.goto(url + made.path);
    await title(who.page, 'minecraft');
    await live(who.page);
  }

  await t.test('what one types, the other sees being typed', async () => {
    await box(bob).fill('Hel');
    await typists(ada).getByText(`${bob.username} is typing…`).waitFor();
    assert.equal(await typists(bob).textContent(), '', 'oneself is not told');
    assert.deepEqual(await violations(ada.page), []);
  });

  await t.test('until it is said', async () => {
    await say(bob.page, 'Hello');
    await line(ada.page, 'Hello').waitFor();
    assert.equal(await typists(ada).textContent(), '');
  });

  await t.test('or for a few seconds', async () => {
    await box(ada).fill('I wonder');
    await typists(bob).getByText(`${ada.username} is typing…`).waitFor();
    await bob.page.waitForFunction(() => document.querySelector('.typists').textContent === '');
    await box(ada).fill('');
  });

  await t.test('an edit and a deletion are seen where they are', async () => {
    const said = await post(bob, 'teh server is up');

    await line(ada.page, 'teh server is up').waitFor();
    await api('PATCH', `/v1/messages/${said.id}`, { content: 'the server is up' }, bob.token);
    for (const { page } of [ada, bob]) {
      await line(page, 'the server is up').getByText('(edited)').waitFor();
      assert.equal(await line(page, 'teh server').count(), 0);
      assert.equal(await page.getByRole('article').count(), 2, 'in its place');
    }
    await api('DELETE', `/v1/messages/${said.id}`, undefined, bob.token);
    for (const { page } of [ada, bob]) {
      await line(page, 'This message was deleted.').waitFor();
      assert.equal(await page.getByText('the server is up').count(), 0);
      assert.equal(await page.getByRole('article').count(), 2, 'a tombstone in its place');
    }
  });

  // read so far, or it would be counted once more; a page's predicate that is
  // a promise is not awaited, so that the answer is asked for here
  const read = async (who, number) => {
    const until = Date.now() + 30_000;
    const path = `/v1/networks/${made.network.id}/read-mark`;

    while ((await api('GET', path, undefined, who.token)).number < number) {
      assert.ok(Date.now() < until, `${who.username} has read up to ${number}`);
    }
  };

  await t.test('what is on screen is read, for the server too', async () => {
    await read(ada, 2);
    await read(bob, 2);
    await channel(ada, 'minecraft').waitFor();
  });

  await t.test('what is said elsewhere is counted', async () => {
    await ada.page.goto(url + lounge);
    await live(ada.page);
    await channel(ada, 'minecraft').waitFor();
    await say(bob.page, 'one');
    await channel(ada, 'minecraft 1 unread').waitFor();
    await say(bob.page, 'two');
    await channel(ada, 'minecraft 2 unread').waitFor();
  });

  await t.test('an edit is not counted, and a reload forgets nothing', async () => {
    const said = await post(bob, 'three');

    await channel(ada, 'minecraft 3 unread').waitFor();
    await api('PATCH', `/v1/messages/${said.id}`, { content: 'drei' }, bob.token);
    await ada.page.reload();
    await channel(ada, 'minecraft 3 unread').waitFor();
  });

  await t.test('what one window reads is read in the other', async () => {
    const other = await ada.context.newPage();

    await other.goto(url + made.path);
    await line(other, 'drei').waitFor();
    await channel(ada, 'minecraft').waitFor();
    await other.close();
  });

  await t.test('who leaves is told of nothing more', async () => {
    await post(bob, 'four');
    await channel(ada, 'minecraft 1 unread').waitFor();
    await api('POST', `/v1/networks/${made.network.id}/leave`, undefined, ada.token);
    await channel(ada, 'minecraft Not joined').or(ada.page.getByRole('link', { name: /^minecraft(?!.*unread)/ })).waitFor();
  });

  await ada.close();
  await bob.close();
});
