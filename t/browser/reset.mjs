import { test } from 'node:test';
import { api, assert, harness, live, member, signIn, title, url, violations, visitor }
  from './lib/browser.mjs';


test('a link sets a new password, once', async () => {
  const ada = await member('ada');
  const root = await member('root');
  await harness(`sql UPDATE goconnect.users SET server_admin = true WHERE username = '${root.username}'`);
  const me = await api('GET', '/v1/auth/me', undefined, ada.token);
  const link = await api('POST', `/v1/admin/users/${me.user.id}/reset-link`, undefined, root.token);
  const eve = await visitor();

  ada.allow(/status of 401/);           // her own session ends with it
  eve.allow(/status of 40[13]/);
  await eve.page.goto(link.url);
  await title(eve.page, 'Set a new password');
  assert.deepEqual(await violations(eve.page), [], 'axe');
  await eve.page.getByLabel('New password', { exact: true }).fill('short');
  await eve.page.keyboard.press('Enter');
  assert.equal(await eve.page.locator('[aria-invalid=true]').count(), 1);
  await eve.page.getByLabel('New password', { exact: true }).fill('entirely another one');
  await eve.page.keyboard.press('Enter');
  await eve.page.getByText('Your new password is set.').waitFor();
  assert.ok(!eve.page.url().includes('#'), 'the token is gone from the address');
  await signIn(eve.page, ada.username, 'entirely another one');
  await live(eve.page);

  const late = await visitor();
  late.allow(/status of 403/);
  await late.page.goto(link.url);
  await late.page.getByLabel('New password', { exact: true }).fill('one that comes too late');
  await late.page.keyboard.press('Enter');
  await late.page.getByRole('alert').filter({ hasText: 'This link is not valid' }).waitFor();
  await late.page.goto(`${url}/reset`);
  await late.page.getByRole('alert').filter({ hasText: 'This link is not valid' }).waitFor();
  for (const one of [late, eve, root, ada]) await one.close();
});
