import { test } from 'node:test';
import { PASSWORD, api, assert, community, invite, line, live, member, say, signIn, title, unique, url, visitor }
  from './lib/browser.mjs';


test('from nothing to two people who chat', async (t) => {
  const ada = await visitor();
  const bob = await visitor();
  const names = { ada: unique('ada'), bob: unique('bob') };
  let link;

  await t.test('whoever is not signed in is asked to', async () => {
    await ada.page.goto(`${url}/devices`);
    await ada.page.waitForURL('**/login?next=%2Fdevices');
    assert.equal(await ada.page.title(), 'Welcome back · GoConnect');
  });

  await t.test('an account is made, and leads on', async () => {
    await ada.page.getByRole('link', { name: 'Create an account' }).click();
    await ada.page.getByLabel('Username').fill(names.ada);
    await ada.page.getByLabel('Password').fill(PASSWORD);
    await ada.page.getByRole('button', { name: 'Create account' }).click();
    await ada.page.waitForURL(`${url}/devices`);
    await live(ada.page);
  });

  await t.test('a community is made', async () => {
    await ada.page.getByRole('link', { name: 'Start', exact: true }).first().click();
    await ada.page.getByRole('button', { name: 'New community' }).last().click();
    await ada.page.getByRole('dialog').getByLabel('Name').fill('Friday LAN party');
    await ada.page.getByRole('dialog').getByLabel('Description').fill('Games and late nights');
    await ada.page.getByRole('button', { name: 'Create' }).click();
    await title(ada.page, 'lounge');
    await ada.page.getByText('1 member', { exact: true }).waitFor();
    await ada.page.getByText('No network yet. Make the first one').waitFor();
  });

  await t.test('a network with a wrong range is refused at the field', async () => {
    ada.allow(/status of 422/);
    await ada.page.getByRole('button', { name: 'New network' }).click();
    await ada.page.getByRole('dialog').getByLabel('Name').fill('minecraft');
    await ada.page.getByLabel('Address range').fill('8.8.8.0/24');
    await ada.page.getByRole('button', { name: 'Create' }).click();

    const field = ada.page.getByLabel('Address range');
    await ada.page.locator('.field-error').waitFor();
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    assert.equal(await field.evaluate((el) => el === document.activeElement), true);
    await field.fill('10.77.0.0/24');
    await ada.page.getByRole('button', { name: 'Create' }).click();
    await title(ada.page, 'minecraft');
    await ada.page.getByText('10.77.0.0/24', { exact: true }).first().waitFor();
  });

  await t.test('whoever makes a network is in it, or one click away', async () => {
    const join = ada.page.getByRole('button', { name: 'Join network' });
    await join.or(ada.page.getByRole('textbox', { name: 'Write to minecraft' })).waitFor();
    if (await join.isVisible()) await join.click();
    await ada.page.getByText('No device yet').waitFor();
  });

  await t.test('an invite is made and its link copied', async () => {
    await ada.page.getByRole('button', { name: 'Invite people' }).first().click();
    const dialog = ada.page.getByRole('dialog');
    assert.match(await dialog.getByLabel('They join').evaluate(
      (el) => el.selectedOptions[0].textContent), /minecraft/);
    await dialog.getByRole('button', { name: 'Make the link' }).click();
    await dialog.getByRole('button', { name: 'Copy link' }).click();
    link = await ada.page.evaluate(() => navigator.clipboard.readText());
    assert.match(link, new RegExp(`^${url}/i/[0-9A-Z]{10}$`));
    await ada.page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  });

  await t.test('the link shows where it leads before it asks for an account', async () => {
    await bob.page.goto(link);
    await title(bob.page, 'Friday LAN party');
    await bob.page.getByText('with the network minecraft').waitFor();
    await bob.page.getByText('1 member', { exact: true }).waitFor();
    assert.equal(await bob.page.getByLabel('Username').count(), 0);
  });

  await t.test('an account made there accepts at once', async () => {
    await bob.page.getByRole('button', { name: 'Accept the invite' }).click();
    await bob.page.getByLabel('Username').fill(names.bob);
    await bob.page.getByLabel('Password').fill(PASSWORD);
    await bob.page.getByRole('button', { name: 'Create account' }).click();
    await title(bob.page, 'minecraft');
    await bob.page.getByText('Welcome to Friday LAN party.').waitFor();
    await live(bob.page);
  });

  await t.test('both see that both are in, without a reload', async () => {
    for (const { page } of [ada, bob]) {
      await page.getByRole('tab', { name: 'Members' }).click();
      const people = page.getByRole('tabpanel');
      await people.getByText(names.ada).waitFor();
      await people.getByText(names.bob).waitFor();
    }
    await ada.page.getByText('2 members').waitFor();
  });

  await t.test('what one writes, the other reads at once', async () => {
    await say(bob.page, 'Hello Ada, the link worked');
    await line(ada.page, 'Hello Ada, the link worked').waitFor();
    await say(ada.page, 'Welcome!\u00a0\ud83c\udf89');
    await line(bob.page, 'Welcome!').waitFor();

    for (const { page } of [ada, bob]) {
      await page.waitForFunction(() => !document.querySelector('.line.sending'));
      assert.equal(await page.getByRole('article').count(), 2, 'nothing twice');
    }
  });

  await t.test('it is there after a reload, in its order', async () => {
    await bob.page.reload();
    await line(bob.page, 'Welcome!').waitFor();
    assert.deepEqual(await bob.page.locator('.line .text').allTextContents(),
      ['Hello Ada, the link worked', 'Welcome!\u00a0\ud83c\udf89']);
  });

  await t.test('what is written elsewhere is marked until it is read', async () => {
    await ada.page.getByRole('link', { name: 'lounge' }).click();
    await say(bob.page, 'are you there?');
    await ada.page.getByRole('link', { name: 'minecraft 1 unread' }).click();
    await line(ada.page, 'are you there?').waitFor();
    await ada.page.getByRole('link', { name: 'minecraft', exact: true }).waitFor();
  });

  await t.test('leaving ends it', async () => {
    await bob.page.getByRole('button', { name: 'Leave network' }).click();
    await bob.page.getByRole('dialog').getByRole('button', { name: 'Leave network' }).click();
    await bob.page.getByRole('button', { name: 'Join network' }).waitFor();
    await ada.page.getByRole('tab', { name: 'Members' }).click();
    await ada.page.getByRole('tabpanel').getByText(names.bob).waitFor({ state: 'detached' });
  });

  await ada.close();
  await bob.close();
});


test('an invite that does not work says so', async () => {
  const eve = await visitor();

  eve.allow(/status of 404/);
  await eve.page.goto(`${url}/i/0123456789`);
  await title(eve.page, 'This invite does not work');
  await eve.close();
});


test('an invite is accepted by somebody who has an account', async () => {
  const owner = await member('owner');
  const place = await community(owner, { name: 'Book club' });
  const made = await invite(owner, { tenant: place.tenant });
  const name = unique('reader');

  await api('POST', '/v1/auth/register', { username: name, password: PASSWORD });

  const reader = await visitor();
  await reader.page.goto(made.url);
  await reader.page.getByRole('button', { name: 'Accept the invite' }).click();
  await reader.page.getByRole('button', { name: 'Sign in' }).click();
  await signIn(reader.page, name);
  await title(reader.page, 'lounge');

  // the owner, who was looking at the start page, is told too
  await owner.page.getByRole('link', { name: 'Book club' }).first().click();
  await owner.page.getByText('2 members').waitFor();

  // a second time: straight in, by the box on the start page
  await reader.page.getByRole('link', { name: 'Start', exact: true }).first().click();
  await reader.page.getByLabel('Invite link or code').fill(made.url);
  await reader.page.getByRole('button', { name: 'Look at it' }).click();
  await reader.page.getByText(`You join as ${name}.`).waitFor();
  await reader.page.getByRole('button', { name: 'Accept the invite' }).click();
  await title(reader.page, 'lounge');

  await reader.close();
  await owner.close();
});


test('an owner manages: invites are listed and revoked, names changed, all deleted', async () => {
  const owner = await member('owner');
  const place = await community(owner, { name: 'Garage' });
  const made = await invite(owner, { tenant: place.tenant, network: place.network });
  const { page } = owner;

  await page.goto(`${url}/t/${place.tenant.id}/settings`);
  await page.getByRole('row').filter({ hasText: 'minecraft' }).waitFor();
  await page.getByRole('button', { name: 'Revoke the invite for minecraft' }).click();
  await page.getByText('No invite is open').waitFor();
  assert.equal((await fetch(`${url}/v1/invites/${made.code}`)).status, 404);

  await page.getByLabel('Name', { exact: true }).fill('Garage 2');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  await page.locator('.sidebar').getByText('Garage 2').waitFor();

  await page.getByLabel('Type Garage 2 to confirm').fill('Garage');
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('This is not its name').waitFor();
  await page.getByLabel('Type Garage 2 to confirm').fill('Garage 2');
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('Garage 2 is gone.').waitFor();
  await page.getByRole('link', { name: 'Garage 2' }).waitFor({ state: 'detached' });
  await owner.close();
});


test('somebody added by name accepts in the dashboard', async () => {
  const owner = await member('owner');
  const guest = await member('guest');
  const place = await community(owner, { name: 'Attic' });

  owner.allow(/status of 4\d\d/);
  await live(guest.page);
  await owner.page.goto(`${url}/t/${place.tenant.id}/settings`);
  await owner.page.getByRole('textbox', { name: 'Add by username' }).fill('nobody-at-all');
  await owner.page.getByRole('button', { name: 'Add', exact: true }).click();
  await owner.page.locator('.field-error, .form-error').waitFor();
  await owner.page.getByRole('textbox', { name: 'Add by username' }).fill(guest.username);
  await owner.page.getByRole('button', { name: 'Add', exact: true }).click();
  await owner.page.getByText(`${guest.username} was asked to join.`).waitFor();

  await guest.page.getByRole('link', { name: 'Attic' }).first().click();
  await guest.page.getByRole('button', { name: 'Accept', exact: true }).click();
  await title(guest.page, 'lounge');
  await guest.page.getByRole('link', { name: 'minecraft' }).waitFor();
  await guest.close();
  await owner.close();
});


test('earlier messages are fetched as one goes up', async () => {
  const owner = await member('owner');
  const place = await community(owner);

  for (let i = 1; i <= 70; i += 1) {
    await api('POST', `/v1/networks/${place.network.id}/messages`, { content: `line ${i}` }, owner.token);
  }

  await owner.page.goto(url + place.path);
  await line(owner.page, /^.*line 70$/).waitFor();
  assert.equal(await owner.page.getByRole('article').count(), 50);
  await owner.page.getByRole('button', { name: 'Show earlier messages' }).click();
  await owner.page.waitForFunction(() => document.querySelectorAll('.line').length === 70);
  assert.deepEqual(await owner.page.locator('.line .text').allTextContents(),
    Array.from({ length: 70 }, (_, i) => `line ${i + 1}`));
  await owner.page.getByRole('button', { name: 'Show earlier messages' }).waitFor({ state: 'detached' });
  await owner.close();
});


test('the first load is small and asks for everything at once', async () => {
  const guest = await visitor();

  await guest.page.goto(`${url}/login`);
  await guest.page.getByLabel('Username').waitFor();

  const { bytes, scripts, late } = await guest.page.evaluate(() => {
    const loaded = performance.getEntriesByType('resource');
    const early = [...document.querySelectorAll('link[rel=modulepreload]')].map((el) => el.href);
    const all = loaded.filter(({ name }) => name.endsWith('.js')).map(({ name }) => name);

    return {
      bytes: loaded.concat(performance.getEntriesByType('navigation'))
        .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
      scripts: all.length,
      late: all.filter((name) => !early.includes(name) && !name.endsWith('/app.js')),
    };
  });

  assert.ok(scripts > 10);
  assert.deepEqual(late, [], 'index.html names each module');
  assert.ok(bytes < 72 * 1024, `${bytes} bytes`);
  await guest.close();
});
