import { test } from 'node:test';
import { assert, title, violations, visitor } from './lib/browser.mjs';

const address = process.env.GOCONNECT_LOCAL;
const place = new URL('/', address).href;


test('a network, its peers, and its switch', async () => {
  const me = await visitor();
  const { page } = me;

  await page.goto(address);
  await title(page, 'This device');
  const lan = page.getByRole('region', { name: 'Lan', exact: true });
  await lan.getByRole('rowheader', { name: 'bob' }).waitFor();
  await lan.getByRole('cell', { name: 'idle' }).waitFor();
  assert.equal(page.url(), place, 'the token does not stay in the address');
  assert.deepEqual(await violations(page), [], 'axe, light');
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.deepEqual(await violations(page), [], 'axe, dark');

  const lever = lan.getByRole('switch', { name: 'On' });
  assert.ok(await lever.isChecked());
  await page.keyboard.press('Tab');
  assert.ok(await lever.evaluate((node) => node === document.activeElement), 'the first stop');
  await page.keyboard.press('Space');
  await page.getByRole('status').filter({ hasText: 'Lan is off.' }).waitFor();
  await lan.getByText(/^down/).waitFor();
  assert.ok(!await lever.isChecked());
  assert.deepEqual(await violations(page), [], 'axe, off');
  await page.keyboard.press('Space');
  await page.getByRole('status').filter({ hasText: 'Lan is on.' }).waitFor();
  await lan.getByRole('rowheader', { name: 'bob' }).waitFor();

  await page.reload();
  await lan.getByRole('rowheader', { name: 'bob' }).waitFor();
  await page.setViewportSize({ width: 320, height: 640 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'fits 320 pixels');
  await me.close();
});


test('without the token', async () => {
  const me = await visitor();
  const { page } = me;

  me.allow(/status of 401/);
  await page.goto(place);
  await page.getByRole('alert').filter({ hasText: 'goconnect local' }).waitFor();
  assert.equal(await page.getByRole('switch').count(), 0);
  assert.deepEqual(await violations(page), [], 'axe');
  await page.goto(`${address}`);
  await page.getByRole('switch', { name: 'On' }).waitFor();
  await me.close();
});
