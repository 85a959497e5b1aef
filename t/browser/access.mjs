import { test } from 'node:test';
import { PASSWORD, accept, api, assert, community, device, invite, line, live, member, say, title, unique, url, violations, visitor }
  from './lib/browser.mjs';

// A place with something of everything in it.
async function place() {
  const ada = await member('ada');
  const bob = await member('bob');
  const made = await community(ada);

  await accept(bob, await invite(ada, made));
  await device(ada, made.network, 'ada-desktop');
  await device(bob, made.network, 'bob-laptop');
  for (const who of [ada, bob]) {
    await api('POST', `/v1/networks/${made.network.id}/messages`,
      { content: `hello from ${who.username}` }, who.token);
  }
  return { ada, bob, made };
}

const settle = (page) => page.evaluate(() => Promise.all(
  document.getAnimations().filter((a) => a.effect.getComputedTiming().iterations !== Infinity)
    .map((a) => a.finished.catch(() => {}))));


test('axe finds nothing against WCAG 2.1 AA, in light and in dark', async (t) => {
  const { ada, bob, made } = await place();
  const { page } = ada;
  const link = (await invite(ada, made)).url;

  const look = async (name) => {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await settle(page);
      assert.deepEqual(await violations(page), [], `${name}, ${colorScheme}`);
    }
  };

  for (const [name, path, ready] of [
    ['start page', '/', () => page.getByRole('heading', { name: 'Start a community' })],
    ['lounge', `/t/${made.tenant.id}`, () => page.getByText('This is the beginning of')],
    ['network', made.path, () => page.locator('.peer').nth(1)],
    ['settings', `/t/${made.tenant.id}/settings`, () => page.getByRole('row').nth(1)],
    ['devices', '/devices', () => page.locator('.device')],
    ['first steps', '/start', () => page.locator('.device')],
    ['nothing', '/t/00000000-0000-0000-0000-000000000000', () => page.getByText('may not see it')],
    ['invite', new URL(link).pathname, () => page.getByText('You join as')],
  ]) {
    await t.test(name, async () => {
      await page.goto(url + path);
      await ready().first().waitFor();
      if (name !== 'invite') await live(page);
      await look(name);
    });
  }

  await t.test('dialogs and members', async () => {
    await page.goto(url + made.path);
    await live(page);
    await page.getByRole('tab', { name: 'Members' }).click();
    await page.locator('.person').nth(1).waitFor();
    await look('members');

    for (const [button, field] of [['Invite people', 'They join'], ['New network', 'Address range'],
      ['New community', 'Description'], ['Leave network', null]]) {
      await page.getByRole('button', { name: button }).first().click();
      await page.getByRole('dialog').waitFor();
      if (field) await page.getByRole('dialog').getByLabel(field).waitFor();
      await look(button);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
  });

  await t.test('narrow, with its panels', async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    await look('narrow');
    await page.getByRole('button', { name: 'Communities and networks' }).click();
    await look('navigation');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'People and devices' }).click();
    await look('people');
  });

  await ada.close();
  await bob.close();
});


test('axe finds nothing on the pages for visitors, with and without mistakes', async () => {
  const guest = await visitor();

  for (const colorScheme of ['light', 'dark']) {
    await guest.page.emulateMedia({ colorScheme });
    for (const path of ['/login', '/register']) {
      await guest.page.goto(url + path);
      await guest.page.getByLabel('Username').waitFor();
      assert.deepEqual(await violations(guest.page), [], path);
      await guest.page.getByRole('button').click();
      await guest.page.locator('.field-error').first().waitFor();
      assert.deepEqual(await violations(guest.page), [], `${path}, mistakes`);
    }
  }
  await guest.close();
});


test('all of it works by keyboard alone', async () => {
  const guest = await visitor();
  const { page } = guest;
  const name = unique('keys');

  // Tab until what has the focus bears this name
  const reach = async (label) => {
    for (let i = 0; i < 60; i += 1) {
      const found = await page.evaluate(() => {
        const el = document.activeElement;
        return (el?.getAttribute('aria-label') || el?.labels?.[0]?.textContent
          || el?.textContent || '').trim();
      });
      if (found === label) {
        assert.ok(await page.evaluate(() => {
          const el = document.activeElement;
          const style = getComputedStyle(el);
          const box = getComputedStyle(el.closest('.composer-box') ?? el);
          return style.outlineStyle !== 'none' || box.outlineStyle !== 'none';
        }), `${label}: the focus is seen`);
        return;
      }
      await page.keyboard.press('Tab');
    }
    assert.fail(`${label} cannot be reached`);
  };

  await page.goto(`${url}/register`);
  await reach('Username');
  await page.keyboard.type(name);
  await reach('Password');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await title(page, `Hello, ${name}`);

  await reach('New community');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await reach('Name');
  await page.keyboard.type('Keys');
  await page.keyboard.press('Enter');
  await title(page, 'lounge');

  await reach('New network');
  await page.keyboard.press('Space');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')),
    'New network', 'the focus goes back to where it was');
  await page.keyboard.press('Enter');
  await reach('Name');
  await page.keyboard.type('typed');
  await page.keyboard.press('Enter');
  await title(page, 'typed');

  const join = page.getByRole('button', { name: 'Join network' });
  await join.or(page.getByRole('tab').first()).waitFor();
  if (await join.isVisible()) {
    await reach('Join network');
    await page.keyboard.press('Enter');
  }

  await reach('Write to typed');
  await page.keyboard.type('without a mouse');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('in two lines');
  await page.keyboard.press('Enter');
  await line(page, 'without a mouse').waitFor();

  await reach('Devices');
  await page.keyboard.press('ArrowRight');
  await page.locator('.person', { hasText: name }).waitFor();

  // the skip link comes first and leads to the page
  await page.reload();
  await live(page);
  await page.keyboard.press('Tab');
  await reach('Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');

  await reach('Sign out');
  await page.keyboard.press('Enter');
  await page.getByText('You are signed out.').waitFor();
  await guest.close();
});


test('at 320 pixels everything is within reach and nothing is cut', async () => {
  const { ada, bob, made } = await place();
  const narrow = { viewport: { width: 320, height: 640 } };

  for (const [path, text] of [['/', 'Start a community'], [made.path, 'hello from'],
    [`/t/${made.tenant.id}/settings`, 'General'], ['/devices', 'ada-desktop'], ['/start', 'Say which server']]) {
    await ada.page.setViewportSize(narrow.viewport);
    await ada.page.goto(url + path);
    await ada.page.getByText(text).first().waitFor();
    assert.ok(await ada.page.evaluate(() => document.documentElement.scrollWidth <= 320), path);
  }

  await ada.page.goto(url + made.path);
  await ada.page.getByRole('button', { name: 'People and devices' }).click();
  await ada.page.locator('.peer', { hasText: 'bob-laptop' }).waitFor();
  await ada.page.keyboard.press('Escape');
  await ada.page.locator('.side').waitFor({ state: 'hidden' });
  await ada.page.getByRole('button', { name: 'Communities and networks' }).click();
  await ada.page.getByRole('link', { name: 'lounge' }).click();
  await title(ada.page, 'lounge');
  await ada.page.locator('.nav').waitFor({ state: 'hidden' });
  await say(ada.page, 'from a phone');
  await line(ada.page, 'from a phone').waitFor();
  await ada.close();
  await bob.close();
});


test('the colours can be chosen, and stay', async () => {
  const ada = await member('ada');
  const background = () => ada.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

  await ada.page.emulateMedia({ colorScheme: 'light' });
  const light = await background();
  await ada.page.getByRole('button', { name: 'Colours: as the system' }).click();
  await ada.page.getByRole('button', { name: 'Colours: light' }).click();
  await ada.page.getByRole('button', { name: 'Colours: dark' }).waitFor();
  const dark = await background();
  assert.notEqual(dark, light);
  await ada.page.reload();
  await live(ada.page);
  assert.equal(await background(), dark);
  await ada.close();
});
