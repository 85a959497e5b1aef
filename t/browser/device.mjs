import { test } from 'node:test';
import { api, assert, community, member, PASSWORD, signIn, title, unique, url, violations, visitor }
  from './lib/browser.mjs';


// A device that asks: what it shows, and what it is answered.
async function asking(name) {
  const asked = await api('POST', '/v1/auth/device/code', { name, platform: 'linux',
    public_key: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64') });

  return {
    ...asked,

    async poll() {
      const response = await fetch(`${url}/v1/auth/device/token`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ device_code: asked.device_code }),
      });
      return { status: response.status, ...await response.json() };
    },
  };
}


test('a device is let in, with the networks that were chosen', async () => {
  const ada = await member('ada');
  const place = await community(ada, { network: 'minecraft' });
  const other = await api('POST', `/v1/tenants/${place.tenant.id}/networks`,
    { name: 'work' }, ada.token);
  const nas = await asking('nas');
  const { page } = ada;

  await page.goto(`${url}/device`);
  await title(page, 'Let a device in');
  assert.deepEqual(await violations(page), [], 'axe, before');
  await page.keyboard.type(nas.user_code.toLowerCase());
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Let in “nas”?' }).waitFor();
  await page.getByText(nas.user_code, { exact: true }).waitFor();
  await page.getByText('127.0.0.1', { exact: true }).waitFor();
  await page.getByLabel('minecraft in Friday LAN').waitFor();
  assert.ok(await page.getByLabel('minecraft in Friday LAN').isChecked(), 'few are all proposed');
  await page.getByLabel('work in Friday LAN').uncheck();
  assert.deepEqual(await violations(page), [], 'axe, when asked');
  await page.getByRole('button', { name: 'Let it in' }).click();
  await page.getByRole('heading', { name: '“nas” is let in' }).waitFor();
  assert.deepEqual(await violations(page), [], 'axe, after');

  const got = await nas.poll();
  assert.equal(got.status, 200);
  assert.equal(got.user.username, ada.username);
  assert.deepEqual(got.networks.map((network) => network.id), [place.network.id]);
  assert.ok(other.id);
  await page.getByRole('link', { name: 'My devices' }).last().click();
  await page.locator('.device', { hasText: 'nas' }).waitFor();
  await ada.close();
});


test('a device is refused', async () => {
  const ada = await member('ada');
  const tv = await asking('<b>tv</b>');
  const { page } = ada;

  await page.goto(tv.verification_uri_complete);
  assert.equal(await page.getByLabel('Code').inputValue(), tv.user_code, 'a scanned code is there');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('heading', { name: 'Let in “<b>tv</b>”?' }).waitFor();
  await page.getByRole('button', { name: 'Refuse' }).click();
  await page.getByRole('heading', { name: '“<b>tv</b>” was refused' }).waitFor();
  assert.equal((await tv.poll()).code, 'access_denied');
  await page.getByRole('button', { name: 'Another code' }).click();
  await page.getByLabel('Code').fill(tv.user_code);
  ada.allow(/409/);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('This code was answered already.').waitFor();
  await ada.close();
});


test('what is no code is said, and how', async () => {
  const ada = await member('ada', '/device');
  const { page } = ada;

  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('Please fill this in').waitFor();
  await page.getByLabel('Code').fill('ABC');
  await page.keyboard.press('Enter');
  await page.getByText('Eight letters and digits', { exact: true }).waitFor();
  ada.allow(/404/);
  await page.getByLabel('Code').fill('zzzz zzzz');
  await page.keyboard.press('Enter');
  await page.getByText('There is no such code, or it has expired.').waitFor();
  assert.deepEqual(await violations(page), [], 'axe');
  await ada.close();
});


test('who is not signed in comes back with the code', async () => {
  const username = unique('bob');
  const phone = await visitor({ viewport: { width: 390, height: 780 } });
  const box = await asking('box');

  await api('POST', '/v1/auth/register', { username, password: PASSWORD });
  await phone.page.goto(box.verification_uri_complete);
  await signIn(phone.page, username);
  await title(phone.page, 'Let a device in');
  assert.equal(await phone.page.getByLabel('Code').inputValue(), box.user_code);
  await phone.page.getByRole('button', { name: 'Go on' }).click();
  await phone.page.getByRole('button', { name: 'Let it in' }).click();
  await phone.page.getByRole('heading', { name: '“box” is let in' }).waitFor();
  assert.equal((await box.poll()).status, 200);
  await phone.close();
});
