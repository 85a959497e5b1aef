// The page of this device: its networks, and who is reached how. It asks
// goconnectd's local API every two seconds while it is looked at. The token
// comes behind the # of the address, which a browser sends to nobody.

const EVERY = 2000;
const ROWS = 200;
const KEY = "goconnect-local-token";

function token() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", "/");
  }
  return sessionStorage.getItem(KEY) ?? "";
}

class Refused extends Error {}

async function ask(method, command, fields = {}) {
  const get = method === "GET";
  const query = get && Object.keys(fields).length ? `?${new URLSearchParams(fields)}` : "";
  const answer = await fetch(`/api/${command}${query}`, {
    method,
    credentials: "omit",
    headers: { authorization: `Bearer ${token()}`, ...(get ? {} : { "content-type": "application/json" }) },
    body: get ? undefined : JSON.stringify(fields),
  });
  const said = await answer.json();
  if (answer.status === 401) throw new Refused(said.detail);
  if (!said.ok) throw new Error(said.detail);
  return said;
}

function el(name, props = {}, ...inside) {
  const node = Object.assign(document.createElement(name), props);
  node.append(...inside);
  return node;
}

// Text is changed only where it is another one: what is selected or read out
// stays as it is.
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const problem = document.getElementById("problem");
const said = document.getElementById("said");
const list = document.getElementById("networks");
const cards = new Map();
let busy = 0;

function complain(text) {
  problem.hidden = !text;
  put(problem, text);
}

const rtt = (us) => (us == null ? "–" : `${(us / 1000).toFixed(1)} ms`);
const loss = (percent) => (percent == null ? "–" : `${percent} %`);

function peers(body, all) {
  const rows = all.filter((peer) => !peer.self).slice(0, ROWS);
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((peer, i) => {
    let row = body.rows[i];
    if (!row) {
      row = body.insertRow();
      row.append(el("th", { scope: "row" }), ...[1, 2, 3, 4, 5].map(() => el("td")));
      row.cells[3].className = row.cells[4].className = "number";
    }
    const path = peer.path ?? "idle";
    [peer.name, peer.ip_address, path, rtt(peer.rtt), loss(peer.loss), peer.endpoint ?? "–"].forEach((text, n) =>
      put(row.cells[n], text ?? "–"));
    row.cells[2].className = path;
  });
}

async function change(network, input) {
  const on = input.checked;
  input.disabled = true;
  busy++;
  try {
    await ask("POST", on ? "up" : "down", { network_id: network.network_id });
    put(said, `${network.name} is ${on ? "on" : "off"}.`);
    complain("");
  } catch (error) {
    input.checked = !on;
    complain(error.message);
  } finally {
    busy--;
    input.disabled = false;
    input.focus();
  }
  await look();
}

function card(network) {
  const id = `n-${network.network_id}`;
  const input = el("input", { type: "checkbox", id });
  input.setAttribute("role", "switch");
  const name = el("h2", { id: `${id}-name` });
  const label = el("label", { className: "switch", htmlFor: id }, el("span", {}, "On"), input);
  input.setAttribute("aria-describedby", name.id);
  const where = el("p");
  const error = el("p", { className: "error", hidden: true });
  const body = el("tbody");
  const titles = ["Peer", "Address", "Path", "Round trip", "Loss", "Endpoint"].map((text, n) =>
    el("th", { scope: "col", className: n === 3 || n === 4 ? "number" : "" }, text));
  const table = el("div", { className: "scroll", tabIndex: 0, hidden: true },
    el("table", {}, el("caption", { id: `${id}-peers` }), el("thead", {}, el("tr", {}, ...titles)), body));
  table.setAttribute("role", "region");
  table.setAttribute("aria-labelledby", `${name.id} ${id}-peers`);
  const section = el("section", {}, el("div", { className: "head" }, name, label), where, error, table);
  section.setAttribute("aria-labelledby", name.id);
  const made = { section, input, name, where, error, table, body, network };
  input.addEventListener("change", () => change(made.network, input));
  list.append(section);
  return made;
}

async function show(network) {
  const id = network.network_id;
  const made = cards.get(id) ?? card(network);
  cards.set(id, made);
  made.network = network;
  put(made.name, network.name);
  const place = [network.ip_address, network.ip6_address].filter(Boolean).join(", ");
  put(made.where, `${network.state}${place ? ` · ${place}` : ""}${network.interface ? ` · ${network.interface}` : ""}`);
  made.error.hidden = !network.error;
  put(made.error, network.error ?? "");
  if (!busy) made.input.checked = network.state !== "down";
  made.table.hidden = network.state !== "up";
  if (network.state !== "up") return;
  const answer = await ask("GET", "peers", { network_id: id });
  const others = answer.peers.length - answer.peers.filter((peer) => peer.self).length;
  put(made.table.querySelector("caption"),
    others > ROWS ? `The first ${ROWS} of ${others} peers` : `${others} ${others === 1 ? "peer" : "peers"}`);
  peers(made.body, answer.peers);
}

function device(status) {
  const facts = [
    ["Name", status.device?.name ?? "not logged in: goconnect login URL"],
    ["User", status.user?.username],
    ["Server", status.server && `${status.server} (${status.control})`],
    ["WireGuard", `in ${status.backend}`],
  ].filter(([, value]) => value);
  const place = document.getElementById("device");
  const text = JSON.stringify(facts);
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  place.replaceChildren(...facts.map(([key, value]) => el("div", {}, el("dt", {}, key), el("dd", {}, value))));
}

async function look() {
  const status = await ask("GET", "status");
  device(status);
  const ids = new Set(status.networks.map((network) => network.network_id));
  for (const [id, made] of cards) {
    if (!ids.has(id)) {
      made.section.remove();
      cards.delete(id);
    }
  }
  for (const network of status.networks) await show(network);
  return status.error ?? "";
}

let stopped = false;
let running = false;
let timer;

async function turn() {
  if (stopped || running || document.hidden) return;
  running = true;
  clearTimeout(timer);
  try {
    complain(await look());
  } catch (error) {
    stopped = error instanceof Refused;
    complain(stopped ? "This page needs the address that \"goconnect local\" prints: open it anew."
      : error instanceof TypeError ? "goconnectd does not answer. Is it running?" : error.message);
  } finally {
    running = false;
  }
  if (!stopped) timer = setTimeout(turn, EVERY);
}

document.addEventListener("visibilitychange", turn);
addEventListener("hashchange", () => {
  token();
  stopped = false;
  turn();
});
turn();
