// Every text that people read, by key. Another language is another table.

const EN = {
  'app.name': 'GoConnect',
  'app.tagline': 'Your people, on one network.',
  'app.skip': 'Skip to the content',
  'app.loading': 'Loading…',
  'app.theme.auto': 'Colours: as the system',
  'app.theme.light': 'Colours: light',
  'app.theme.dark': 'Colours: dark',

  'away.title': 'The server cannot be reached.',
  'away.retry': 'Trying again in {seconds} s.',
  'away.now': 'Trying now…',
  'away.button': 'Try now',
  'away.boot': 'Nothing is lost: the tunnels between devices stay up without it.',

  'unknown.title': 'There is nothing here',
  'unknown.text': 'The page was removed, or you may not see it.',
  'unknown.home': 'Go to the start',

  'action.cancel': 'Cancel',
  'action.close': 'Close',
  'action.copied': 'Copied',
  'action.create': 'Create',
  'action.save': 'Save',
  'action.retry': 'Try again',
  'action.discard': 'Discard',
  'action.dismiss': 'Dismiss',
  'action.revoke': 'Revoke',

  'auth.login.title': 'Welcome back',
  'auth.login.button': 'Sign in',
  'auth.login.other': 'New here?',
  'auth.login.to': 'Create an account',
  'auth.register.title': 'Create your account',
  'auth.register.button': 'Create account',
  'auth.register.other': 'Have an account?',
  'auth.register.to': 'Sign in',
  'auth.reset.title': 'Set a new password',
  'auth.reset.password': 'New password',
  'auth.reset.button': 'Set the password',
  'auth.username': 'Username',
  'auth.username.hint': '3 to 32 characters: letters, digits, and . _ - inside',
  'auth.password': 'Password',
  'auth.password.hint': 'At least 10 characters. A short sentence is good.',
  'auth.logout': 'Sign out',
  'auth.ended.signed_out': 'You are signed out.',
  'auth.ended.expired': 'Your session has ended. Sign in again.',
  'auth.ended.revoked': 'Your session was ended from elsewhere. Sign in again.',
  'auth.ended.password_set': 'Your new password is set. Sign in with it.',
  'auth.pitch.1.title': 'A LAN without the cables',
  'auth.pitch.1.text': 'Devices anywhere get addresses on one private network. WireGuard carries the packets, directly between them.',
  'auth.pitch.2.title': 'A community around it',
  'auth.pitch.2.text': 'Invite with a link, see who is online, talk beside the game or the work.',
  'auth.pitch.3.title': 'Your own server',
  'auth.pitch.3.text': 'Keys are made on your devices and never leave them.',

  'home.title': 'Hello, {name}',
  'home.text': 'A community holds networks, its people and their chat. Make one of your own, or join one by an invite.',
  'home.create.title': 'Start a community',
  'home.create.text': 'For your friends, your team or your house. It takes a name.',
  'home.join.title': 'Join by an invite',
  'home.join.text': 'Paste the link that somebody sent you.',
  'home.join.label': 'Invite link or code',
  'home.join.button': 'Look at it',
  'home.join.bad': 'This is not an invite link or code',
  'home.pending': 'You are asked to join',
  'home.device.title': 'Connect this device',
  'home.device.text': 'Two commands put it on your networks.',
  'home.device.button': 'Show me',

  'rail.label': 'Communities',
  'rail.home': 'Start',
  'rail.create': 'New community',
  'rail.devices': 'My devices',
  'rail.start': 'Connect a device',
  'rail.unread': '{count} unread',

  'nav.menu': 'Communities and networks',
  'nav.side': 'People and devices',
  'nav.lounge': 'lounge',
  'nav.chat': 'Chat',
  'nav.networks': 'Networks',
  'nav.networks.new': 'New network',
  'nav.networks.empty': 'No network yet.',
  'nav.networks.empty.admin': 'No network yet. Make the first one: it gives every device an address.',
  'nav.settings': 'Manage {name}',
  'nav.invite': 'Invite people',
  'nav.notjoined': 'not joined',
  'nav.live': 'Live',
  'nav.connecting': 'Connecting…',
  'nav.away': 'Not connected',

  'tenant.create.title': 'New community',
  'tenant.name': 'Name',
  'tenant.name.placeholder': 'Friday LAN party',
  'tenant.description': 'Description',
  'tenant.description.hint': 'What is it for? May stay empty.',
  'tenant.pending.title': '{name} wants you in',
  'tenant.pending.text': 'You were added to this community. Accept to see its networks and its chat.',
  'tenant.pending.button': 'Accept',
  'tenant.members': { one: '{count} member', other: '{count} members' },
  'tenant.lounge.topic': 'Everybody in {name}',

  'settings.title': 'Manage {name}',
  'settings.general': 'General',
  'settings.saved': 'Saved.',
  'settings.invites': 'Invites',
  'settings.members': 'Members',
  'settings.danger': 'Delete this community',
  'settings.danger.text': 'Networks, invites and chat go with it, for everybody, at once.',
  'settings.danger.confirm': 'Type {name} to confirm',
  'settings.danger.button': 'Delete for good',
  'settings.danger.done': '{name} is gone.',
  'settings.danger.mismatch': 'This is not its name',

  'network.create.title': 'New network',
  'network.name': 'Name',
  'network.name.placeholder': 'minecraft',
  'network.cidr': 'Address range',
  'network.cidr.hint': 'Empty: the server picks a free range. Or a private one such as 10.42.0.0/24.',
  'network.policy': 'Who may join',
  'network.policy.open': 'Everybody in the community',
  'network.policy.invite': 'By invite; all see that it is there',
  'network.policy.hidden': 'By invite, and hidden from the others',
  'network.join': 'Join network',
  'network.leave': 'Leave network',
  'network.leave.title': 'Leave {name}?',
  'network.leave.text': 'Your devices lose their addresses on it.',
  'network.left': 'You left {name}.',
  'network.delete': 'Delete network',
  'network.delete.title': 'Delete {name}?',
  'network.delete.text': 'Every device on it is disconnected, and its chat is lost.',
  'network.joined': 'You are in {name}.',
  'network.gate.title': 'Join {name}',
  'network.gate.open': 'You are one click from {cidr}: join, and your devices get an address on it.',
  'network.gate.invite': 'This network takes an invite. Paste the link or the code that you were given.',
  'network.gate.approval': 'This network takes an approval by its staff.',
  'network.code': 'Invite link or code',
  'network.range': 'Address range {cidr}',
  'network.devices': { one: '{count} device, {online} on line', other: '{count} devices, {online} on line' },
  'network.devices.none': 'Nothing is connected yet',

  'side.members': 'Members',
  'side.devices': 'Devices',
  'members.online': 'Connected',
  'members.offline': 'Not connected',
  'members.pending': 'Invited',
  'members.empty': 'Nobody here yet.',
  'members.you': 'you',
  'members.service': 'devices of a key',
  'members.add': 'Add by username',
  'members.add.text': 'They accept in their own dashboard.',
  'members.add.role': 'Role',
  'members.add.button': 'Add',
  'members.added': '{name} was asked to join.',

  'role.owner': 'Owner',
  'role.admin': 'Admin',
  'role.moderator': 'Moderator',
  'role.member': 'Member',

  'status.online': 'online',
  'status.offline': 'offline',
  'status.seen': 'seen {when}',
  'status.never': 'never seen',

  'peers.empty.title': 'No device yet',
  'peers.empty.text': 'Put yours on this network with two commands.',
  'peers.connect': 'Connect a device',
  'peers.copy': 'Copy the address {address}',
  'peers.mine': 'yours',

  'devices.title': 'My devices',
  'devices.text': 'Every device has keys of its own. Remove one that you lost: its networks drop it at once.',
  'devices.empty.title': 'No device yet',
  'devices.empty.text': 'A device joins with two commands, on Linux today.',
  'devices.name': 'Name',
  'devices.remove': 'Remove',
  'devices.remove.title': 'Remove {name}?',
  'devices.remove.text': 'It is signed out and leaves all networks at once.',
  'devices.removed': '{name} was removed.',
  'devices.rename.title': 'Rename {name}',
  'devices.added': 'added {date}',

  'invite.title': 'Invite people to {name}',
  'invite.text': 'Whoever opens the link sees the name of this place first, then joins.',
  'invite.network': 'They join',
  'invite.network.none': 'The community only',
  'invite.network.one': 'The community and {name}',
  'invite.role': 'As',
  'invite.expires': 'The link works for',
  'invite.expires.3600': 'one hour',
  'invite.expires.86400': 'one day',
  'invite.expires.604800': 'seven days',
  'invite.expires.2592000': 'thirty days',
  'invite.uses': 'And for',
  'invite.uses.0': 'any number of people',
  'invite.uses.1': 'one person',
  'invite.uses.5': '5 people',
  'invite.uses.25': '25 people',
  'invite.make': 'Make the link',
  'invite.another': 'Make another',
  'invite.ready': 'The link is ready',
  'invite.once': 'It is shown only now: copy it.',
  'invite.link': 'Invite link',
  'invite.copy': 'Copy link',
  'invites.empty.title': 'No invite is open',
  'invites.empty.text': 'Make a link and send it to whom you want here.',
  'invites.new': 'New invite',
  'invites.for': 'For',
  'invites.role': 'Role',
  'invites.uses': 'Used',
  'invites.expires': 'Ends',
  'invites.actions': 'Actions',
  'invites.unlimited': '{uses}',
  'invites.limited': '{uses} of {max}',
  'invites.tenant': 'the community',
  'invites.revoke': 'Revoke the invite for {name}',
  'invites.revoked': 'The link no longer works.',

  'accept.invited': 'You are invited to',
  'accept.network': 'with the network {name}',
  'accept.join': 'Accept the invite',
  'accept.as': 'You join as {name}.',
  'accept.account': 'An account is all that it takes.',
  'accept.gone.title': 'This invite does not work',
  'accept.gone.text': 'It was used up, has ended, or was never there. Ask for a new one.',
  'accept.done': 'Welcome to {name}.',

  'start.title': 'Connect a device',
  'start.text': 'On the device itself, in a terminal:',
  'start.step.1': 'Say which server',
  'start.step.1.text': 'It makes the keys of the device and shows a code, in letters and to be scanned.',
  'start.step.2': 'Enter the code',
  'start.step.2.text': 'You choose the networks. The device gets its address there and reaches the others.',
  'start.step.2.none': 'Join or make a network first, if the device is to be in one.',
  'start.network': 'Network',
  'start.network.name': '{network} in {tenant}',
  'start.root': 'GoConnect must be installed on it. Members of the group goconnect do not need sudo.',
  'start.done': 'That is all. The device shows up here:',
  'start.waiting': 'Waiting for the first device…',
  'start.check': 'See how it goes on the device:',
  'start.command.copy': 'Copy the command',

  'device.title': 'Let a device in',
  'device.text': 'The device shows a code of eight letters and digits. It is good for ten minutes.',
  'device.code': 'Code',
  'device.code.hint': 'Small letters do, and hyphens do not matter.',
  'device.code.wrong': 'Eight letters and digits',
  'device.next': 'Go on',
  'device.ask': 'Let in “{name}”?',
  'device.platform': 'System',
  'device.address': 'It asks from',
  'device.careful': 'It becomes a device of yours. Go on only if you have just started it yourself and it shows this code.',
  'device.networks': 'Networks that it joins',
  'device.approve': 'Let it in',
  'device.refuse': 'Refuse',
  'device.in.title': '“{name}” is let in',
  'device.in.text': 'It notices within seconds.',
  'device.refused.title': '“{name}” was refused',
  'device.refused.text': 'Nothing of yours was told to it.',
  'device.another': 'Another code',

  'chat.label': 'Messages in {name}',
  'chat.placeholder': 'Write to {name}',
  'chat.send': 'Send',
  'chat.hint': 'Enter sends, Shift+Enter begins a new line',
  'chat.empty.title': 'This is the beginning of {name}',
  'chat.empty.text': 'Say hello: everybody here sees it at once.',
  'chat.older': 'Show earlier messages',
  'chat.latest': 'Jump to the latest',
  'chat.failed': 'Not sent: {reason}',
  'chat.deleted': 'This message was deleted.',
  'chat.edited': 'edited',
  'chat.long': '{count} characters too many',
  'chat.typing.one': '{one} is typing…',
  'chat.typing.two': '{one} and {two} are typing…',
  'chat.typing.many': 'Several people are typing…',
  'chat.today': 'Today',
  'chat.yesterday': 'Yesterday',

  'field.required': 'Please fill this in',
  'field.short': { one: 'At least {count} character', other: 'At least {count} characters' },
  'field.long': { one: 'At most {count} character', other: 'At most {count} characters' },
  'field.pattern': 'This does not have the right form',

  // by the `code` of a problem or of one of its fields
  'error.unreachable': 'The server cannot be reached. Try again in a moment.',
  'error.unexpected': 'That did not work, and the server did not say why.',
  'error.unavailable': 'The database is away. Try again in a moment.',
  'error.outcome_unknown': 'The server lost the answer: look whether it was done, then try again.',
  'error.invalid_credentials': 'Username or password is wrong.',
  'error.invalid_reset_token': 'This link is not valid, or was used before. Ask for another.',
  'error.suspended': 'This account is suspended.',
  'error.username_taken': 'This username is taken.',
  'error.name_taken': 'There is one of this name already.',
  'error.slug_taken': 'There is one of this name already.',
  'error.unknown_code': 'There is no such code, or it has expired.',
  'error.already_answered': 'This code was answered already.',
  'error.not_found': 'It is not there, or you may not see it.',
  'error.forbidden': 'You may not do this.',
  'error.invite_required': 'This network takes an invite.',
  'error.rate_limited': 'Too many at once. Wait a moment.',
  'error.network_full': 'The network has no free address left.',
  'error.pool_exhausted': 'The server has no free range left: name one.',
  'error.session_ended': 'Your session has ended. Sign in again.',
};


let table = EN;
let plural = new Intl.PluralRules('en');
let language = navigator.languages.find((tag) => /^en\b/.test(tag)) ?? 'en';


export const has = (key) => key in table;


export function t(key, values = {}) {
  let text = table[key] ?? EN[key] ?? key;

  if (typeof text === 'object') text = text[plural.select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}


// What to say of an error: ours by its code, else what the server said.
export function explain(error) {
  if (typeof error === 'string') return error;
  if (has(`error.${error.code}`)) return t(`error.${error.code}`);
  return error.message || error.detail || t('error.unexpected');
}


const formats = new Map();

function format(options) {
  const key = JSON.stringify(options);

  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language, options));
  return formats.get(key);
}


export const time = (at) => format({ hour: '2-digit', minute: '2-digit' }).format(at);
export const date = (at) => format({ dateStyle: 'medium' }).format(at);
export const short = (at) => format({ day: 'numeric', month: 'short' }).format(at);
export const moment = (at) => format({ dateStyle: 'full', timeStyle: 'short' }).format(at);


export function day(at, now = new Date()) {
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0)
    - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);

  if (days === 0) return t('chat.today');
  if (days === 1) return t('chat.yesterday');
  return format({ dateStyle: 'full' }).format(at);
}


const UNITS = [['day', 86400], ['hour', 3600], ['minute', 60]];

export function ago(at, now = Date.now()) {
  const seconds = (at - now) / 1000;
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });

  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(0, 'second');
}
