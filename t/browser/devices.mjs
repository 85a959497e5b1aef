import { test } from 'node:test';
import { accept, assert, community, device, invite, live, member, url } from './lib/browser.mjs';


test('a device appears, goes on line and off, and everybody sees it', async (t) => {
  const ada = await member('ada');
  const bob = await member('bob');
  const place = await community(ada);
  let laptop;
  let socket;

  await accept(bob, await invite(ada, place));

  await t.test('the first steps name this server and this network', async () => {
    await ada.page.goto(`${url}/start?network=${place.network.id}`);
    await ada.page.getByText(`sudo goconnect login ${url}`).waitFor();
    await ada.page.getByRole('link', { name: 'Let a device in' })
      .and(ada.page.locator(`[href="/device?network=${place.network.id}"]`)).waitFor();
    await ada.page.getByText('Waiting for the first device').waitFor();
    await ada.page.getByRole('button', { name: 'Copy the command' }).first().click();
    assert.equal(await ada.page.evaluate(() => navigator.clipboard.readText()),
      `sudo goconnect login ${url}`);
  });

  await t.test('a device that joins is there for all, by its delta', async () => {
    for (const who of [ada, bob]) {
      await who.page.goto(url + place.path);
      await live(who.page);
      await who.page.getByText('No device yet').waitFor();
    }
    laptop = await device(ada, place.network, 'ada-laptop');
    for (const { page } of [ada, bob]) {
      await page.locator('.peer', { hasText: laptop.peer.ip_address }).waitFor();
      await page.locator('.peer.offline').waitFor();
    }
    await ada.page.locator('.peer', { hasText: 'yours' }).waitFor();
    await bob.page.locator('.peer', { hasText: ada.username }).waitFor();
  });

  await t.test('it connects: on line for both', async () => {
    socket = await laptop.connect();
    for (const { page } of [ada, bob]) {
      await page.locator('.peer:not(.offline) .dot.on').waitFor();
    }
    await bob.page.getByRole('tab', { name: 'Members' }).click();
    await bob.page.locator('.person.online', { hasText: ada.username }).waitFor();
  });

  await t.test('the list of my devices says the same', async () => {
    await ada.page.getByRole('link', { name: 'My devices' }).first().click();
    await ada.page.locator('.device .state.on').waitFor();
  });

  await t.test('it goes: off line, where one looks and where one does not', async () => {
    socket.close();
    await ada.page.locator('.device .state:not(.on)').waitFor();
    await bob.page.getByRole('tab', { name: 'Devices' }).click();
    await bob.page.locator('.peer.offline').waitFor();
  });

  await t.test('its address is copied', async () => {
    await bob.page.getByRole('button', {
      name: `Copy the address ${laptop.peer.ip_address}` }).click();
    assert.equal(await bob.page.evaluate(() => navigator.clipboard.readText()),
      laptop.peer.ip_address);
  });

  await t.test('it is renamed', async () => {
    await ada.page.getByRole('button', { name: 'Rename ada-laptop' }).click();
    await ada.page.getByRole('dialog').getByRole('textbox').fill('old laptop');
    await ada.page.getByRole('button', { name: 'Save' }).click();
    await ada.page.locator('.device', { hasText: 'old laptop' }).waitFor();
  });

  await t.test('it is removed: gone here, and from the network of the others', async () => {
    await ada.page.getByRole('button', { name: 'Remove: old laptop' }).click();
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await ada.page.getByText('No device yet').waitFor();
    await bob.page.getByText('No device yet').waitFor();
  });

  await t.test('who closes the window is off line for the others', async () => {
    await bob.page.getByRole('tab', { name: 'Members' }).click();
    await bob.page.locator('.person.online', { hasText: ada.username }).waitFor();
    await ada.close();
    await bob.page.locator('.person.offline', { hasText: ada.username }).waitFor();
    await bob.page.locator('.person.online', { hasText: bob.username }).waitFor();
  });

  await bob.close();
});


test('a device that is in no network shows up among mine', async () => {
  const ada = await member('ada', '/start');

  await ada.page.getByText('Waiting for the first device').waitFor();
  await live(ada.page);
  await device(ada, null, 'phone');
  await ada.page.locator('.device', { hasText: 'phone' }).waitFor();
  await ada.close();
});
