import { test } from 'node:test';
import { api, assert, url, visitor } from './lib/browser.mjs';

// Every address that the page asks for, beside the ones it may.
function watched(page) {
  const asked = [];

  page.on('request', (request) => asked.push(request.url()));
  return () => asked.filter((one) => !one.startsWith(`${url}/`) && !one.startsWith('data:'));
}


test('the reference shows every operation, from this server alone', async () => {
  const contract = await api('GET', '/v1/openapi.json');
  const all = Object.values(contract.paths).flatMap((path) => (
    Object.values(path).map((operation) => operation.operationId)));
  const { page, close } = await visitor();
  const foreign = watched(page);

  await page.goto(`${url}/docs`);
  assert.equal(page.url(), `${url}/docs/`);
  await page.getByRole('heading', { name: /GoConnect/ }).waitFor();
  await page.locator('.opblock').nth(all.length - 1).waitFor();
  assert.deepEqual(
    (await page.locator('.opblock').evaluateAll((blocks) => (
      blocks.map((block) => block.id.replace(/^operations-[a-z]+-/, ''))))).sort(),
    all.sort());

  await page.locator('#operations-chat-network_messages_create .opblock-summary-control').click();
  await page.getByText('Request body').first().waitFor();
  assert.deepEqual(foreign(), [], 'nothing is fetched from elsewhere');
  await close();
});


test('a request can be tried out', async () => {
  const { page, close } = await visitor();

  await page.goto(`${url}/docs/#/operation/healthz`);
  const block = page.locator('#operations-operation-healthz');
  // by keyboard: the page scrolls there on its own, and a click waits until nothing moves
  await block.getByRole('button', { name: 'Try it out' }).press('Enter');
  await block.getByRole('button', { name: 'Execute' }).press('Enter');
  await block.locator('.live-responses-table').getByText('200').first().waitFor();
  await close();
});
