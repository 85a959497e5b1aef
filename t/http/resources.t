# What the operations do: tenants, members, networks, invites, devices, peers,
# chat. Each answer is checked against the contract by GoConnect::World.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my ($home, $foreign) = @$w{qw(home foreign)};

sub uuid { my $id = $s->sql('SELECT gen_random_uuid()'); chomp $id; return $id }

# All pages of a list, with `limit` items a page.
sub pages {
    my ($name, $limit, %opt) = @_;
    my (@items, $cursor, $pages);
    do {
        my $page = $w->must(200, $name, %opt,
            query => { limit => $limit, defined $cursor ? (cursor => $cursor) : () });
        cmp_ok scalar @{ $page->{items} }, '<=', $limit, "$name: a page is as long as asked";
        push @items, @{ $page->{items} };
        $cursor = $page->{next_cursor};
        die "$name does not end\n" if ++$pages > 100;
    } while defined $cursor;
    return @items;
}

# ------------------------------------------------------------------- tenants

my ($tenant, $tx) = $w->is(201, undef, 'a tenant', 'tenants_create', as => 'owner',
    body => { name => 'Chess Club', description => "two\nlines", visibility => 'public',
        access => 'open', settings => { retention_days => 30 } });
is $tx->res->headers->location, "/v1/tenants/$tenant->{id}", 'Location';
is $tenant->{role}, 'owner', 'its maker owns it';
is $tenant->{slug}, 'chess-club', 'a slug is made of the name';
is $tenant->{member_count}, 1, 'one member';
is $tenant->{settings}{retention_days}, 30, 'settings';
(undef, undef, $tx) = $w->call('tenants_get', as => 'owner', path => [ $tenant->{id} ]);
is_deeply $tx->res->json, $tenant, 'GET gives the same';
my $etag = $tx->res->headers->etag;

my ($changed, $tx2) = $w->is(200, undef, 'PATCH with the right If-Match', 'tenants_update',
    as => 'owner', path => [ $tenant->{id} ], body => { name => 'Go Club' },
    headers => { 'If-Match' => $etag });
is $changed->{name}, 'Go Club', 'changed';
is $changed->{description}, "two\nlines", 'the rest is as it was';
isnt $tx2->res->headers->etag, $etag, 'another ETag';
$w->is(412, 'precondition_failed', 'PATCH with the old one', 'tenants_update', as => 'owner',
    path => [ $tenant->{id} ], body => { name => 'Lost Update' },
    headers => { 'If-Match' => $etag });
is(($w->call('tenants_get', as => 'owner', path => [ $tenant->{id} ],
    headers => { 'If-None-Match' => $tx2->res->headers->etag }))[0], 304, 'GET with the version one has is not answered again');
is $w->must(200, 'tenants_update', as => 'owner', path => [ $tenant->{id} ],
    body => { description => undef })->{description}, undef, 'null empties a field';
$w->is(409, undef, 'a slug is taken', 'tenants_create', as => 'outsider',
    body => { name => 'x', slug => 'chess-club' });
$w->is(409, 'slug_taken', 'nor can one change to it', 'tenants_update', as => 'owner',
    path => [ $home->{tenant} ], body => { slug => 'chess-club' });

my $public = $w->must(200, 'tenants_list', as => 'outsider',
    query => { scope => 'public', q => 'go c' });
is_deeply [ map { $_->{id} } @{ $public->{items} } ], [ $tenant->{id} ], 'found by a part of its name';
is $public->{items}[0]{role}, undef, 'not a member';
is scalar(grep { $_->{id} eq $home->{tenant} }
    @{ $w->must(200, 'tenants_list', as => 'outsider', query => { scope => 'public' })->{items} }),
    0, 'private tenants are not listed';

my %made = map { $w->must(201, 'tenants_create', as => 'pending', body => { name => "P $_" })->{id} => 1 } 1 .. 7;
my @mine = pages('tenants_list', 3, as => 'pending');
is scalar(grep { $made{ $_->{id} } } @mine), 7, 'all pages together have all';
is scalar(@mine), 8, 'and nothing twice, and the tenant that asks for them';

# idempotency
my $key = uuid();
my @idem = (as => 'owner', headers => { 'Idempotency-Key' => $key }, body => { name => 'Once' });
my $once = $w->must(201, 'tenants_create', @idem);
is_deeply $w->must(201, 'tenants_create', @idem), $once, 'the same key gives the same answer';
is_deeply $w->must(201, 'tenants_create', as => 'owner', body => { name => 'Once' },
    headers => { 'Idempotency-Key' => uc $key }), $once, 'whatever its case';
is $s->sql("SELECT count(*) FROM goconnect.tenants WHERE name = 'Once'"), 1, 'made once';
$w->is(409, undef, 'the same key with another body', 'tenants_create', as => 'owner',
    body => { name => 'Twice' }, headers => { 'Idempotency-Key' => $key });
$w->must(201, 'tenants_create', as => 'outsider', body => { name => 'Once' },
    headers => { 'Idempotency-Key' => $key });

(undef, $tx) = $w->is(204, undef, 'delete', 'tenants_delete', as => 'owner', path => [ $tenant->{id} ]);
is $tx->res->body, '', 'without a body';
$w->is(404, 'not_found', 'gone', 'tenants_get', as => 'owner', path => [ $tenant->{id} ]);
$w->is(404, 'not_found', 'gone for good', 'tenants_delete', as => 'owner', path => [ $tenant->{id} ]);

# ------------------------------------------------------------------- members

my @member = pages('members_list', 2, as => 'member', path => [ $home->{tenant} ]);
is join(' ', sort map { "$_->{username}:$_->{role}:$_->{status}" } @member),
    'admin-x:admin:active member-x:member:active moderator-x:moderator:active owner-x:owner:active',
    'members see who is active';
@member = pages('members_list', 50, as => 'moderator', path => [ $home->{tenant} ]);
ok +(grep { $_->{status} eq 'pending' && $_->{username} eq 'pending-x' } @member),
    'moderators see who was asked';
$w->is(409, 'already_member', 'asked twice', 'members_add', as => 'owner',
    path => [ $home->{tenant} ], body => { username => 'PENDING-X' });
$w->is(422, undef, 'both names', 'members_add', as => 'owner', path => [ $home->{tenant} ],
    body => { username => 'outsider-x', user_id => $w->{user}{outsider}{id} });
is $w->must(201, 'members_add', as => 'owner', path => [ $home->{tenant} ],
    body => { user_id => $w->{user}{outsider}{id} })->{status}, 'pending', 'added by id, pending';
$w->is(403, undef, 'pending is not yet in', 'networks_list', as => 'outsider',
    path => [ $home->{tenant} ]);
is $w->must(200, 'members_accept', as => 'outsider', path => [ $home->{tenant} ])->{status},
    'active', 'accepted';
$w->must(200, 'networks_list', as => 'outsider', path => [ $home->{tenant} ]);
$s->sql("DELETE FROM goconnect.memberships WHERE tenant_id = '$home->{tenant}' "
    . "AND user_id = '$w->{user}{outsider}{id}'");

# ------------------------------------------------------------------ networks

my $net = $w->must(201, 'networks_create', as => 'admin', path => [ $home->{tenant} ],
    body => { name => 'Lan Party', cidr => '10.99.0.0/29', settings => { mtu => 1380 } });
is $net->{cidr}, '10.99.0.0/29', 'its range';
like $net->{cidr6}, qr{^fd[0-9a-f:]+/64\z}, 'and an IPv6 one';
is $net->{join_policy}, 'invite', 'by invite unless said';
my $pool = $w->must(201, 'networks_create', as => 'admin', path => [ $home->{tenant} ],
    body => { name => 'From the pool' });
like $pool->{cidr}, qr{^100\.(?:6[4-9]|[789]\d|1[01]\d|12[0-7])\.\d+\.0/24\z}, 'a range of the pool';
$w->is(409, undef, 'a name is taken', 'networks_create', as => 'admin', path => [ $home->{tenant} ],
    body => { name => 'lan party' });
$w->is(403, 'invite_required', 'join without a code', 'networks_join', as => 'member',
    path => [ $home->{network} ], body => { code => 'ZZZZZZZZZZ' });
$w->is(409, 'name_taken', 'nor can one change to it', 'networks_update', as => 'admin',
    path => [ $pool->{id} ], body => { name => 'lan party' });
(undef, $tx) = $w->is(200, undef, 'change', 'networks_update', as => 'admin', path => [ $net->{id} ],
    body => { visibility => 'public' });
(undef, undef, $tx2) = $w->call('networks_get', as => 'admin', path => [ $net->{id} ]);
is $tx2->res->headers->etag, $tx->res->headers->etag, 'the ETag of the answer is the one of GET';
my @net = pages('networks_list', 2, as => 'admin', path => [ $home->{tenant} ]);
is scalar(@net), 4, 'four networks on two pages';

is join(' ', sort map { $_->{username} } pages('network_members_list', 2, as => 'member device',
    path => [ $home->{network} ])), 'admin-x member-x moderator-x owner-x', 'members of a network';

# ------------------------------------------------------------------- invites

my ($invite) = $w->is(201, undef, 'an invite', 'invites_create', as => 'admin',
    path => [ $home->{tenant} ], body => { network_id => $net->{id}, max_uses => 2 });
like $invite->{code}, qr/^[0-9A-HJKMNP-TV-Z]{10}\z/, 'ten characters';
is $invite->{url}, $s->url . "/i/$invite->{code}", 'its link';
unlike $s->sql("SELECT string_agg(i::text, ' ') FROM goconnect.invites i"),
    qr/\Q$invite->{code}\E/, 'the database does not know the code';
my ($listed) = grep { $_->{id} eq $invite->{id} }
    pages('invites_list', 1, as => 'admin', path => [ $home->{tenant} ]);
ok $listed && !exists $listed->{code}, 'nor does the list tell it';

my $preview = $w->must(200, 'invites_preview', path => [ $invite->{code} ]);
is_deeply [ sort keys %$preview ], [ sort qw(tenant_name network_name member_count) ],
    'a preview has names and a count';
is $preview->{tenant_name}, 'Home', 'of the tenant';
is $preview->{network_name}, 'Lan Party', 'of the network';
my $typed = lc($invite->{code}) =~ s/0/o/gr =~ s/1/l/gr =~ s/^(.{5})/$1-/r;
is_deeply $w->must(200, 'invites_preview', path => [$typed]), $preview, "typed as $typed";
my $unknown = $w->is(404, 'not_found', 'an unknown code', 'invites_preview', path => ['ZZZZZZZZZZ']);

my $eve = $s->register('eve-x');
my $accepted = $w->must(200, 'invites_accept', token => $eve->{token}, path => [ $invite->{code} ]);
is $accepted->{tenant}{id}, $home->{tenant}, 'joined the tenant';
is $accepted->{tenant}{role}, 'member', 'as a member';
is $accepted->{network}{id}, $net->{id}, 'and the network';
ok $accepted->{network}{joined}, 'at once';
$w->must(200, 'invites_accept', token => $eve->{token}, path => [ $invite->{code} ]);
is $s->sql("SELECT uses FROM goconnect.invites WHERE id = '$invite->{id}'"), 1,
    'accepting twice uses nothing';
$w->must(200, 'networks_join', as => 'member', path => [ $net->{id} ],
    body => { code => $typed });
is $s->sql("SELECT uses FROM goconnect.invites WHERE id = '$invite->{id}'"), 2, 'join by the code';
my $used = $w->is(404, 'not_found', 'a used-up code', 'invites_preview', path => [ $invite->{code} ]);
my $expiring = $w->must(201, 'invites_create', as => 'owner', path => [ $home->{tenant} ],
    body => { expires_in => 3600 });
$s->sql("UPDATE goconnect.invites SET expires_at = now() - interval '1 second', "
    . "created_at = now() - interval '2 hours' WHERE id = '$expiring->{id}'");
my $expired = $w->is(404, 'not_found', 'an expired code', 'invites_preview', path => [ $expiring->{code} ]);
is_deeply [ $used, $expired ], [ $unknown, $unknown ], 'unknown, used and expired are alike';
$w->is(404, 'not_found', 'nor is it accepted', 'invites_accept', as => 'outsider',
    path => [ $expiring->{code} ]);
my $revoked = $w->must(201, 'invites_create', as => 'owner', path => [ $home->{tenant} ]);
$w->is(204, undef, 'revoke', 'invites_delete', as => 'admin', path => [ $revoked->{id} ]);
$w->is(404, 'not_found', 'a revoked code', 'invites_accept', as => 'outsider', path => [ $revoked->{code} ]);

# ------------------------------------------------------------------- devices

my $dev = $w->{device}{member};
my ($got, $dtx) = $w->is(200, undef, 'a device', 'devices_get', as => 'member', path => [ $dev->{id} ]);
is $got->{public_key}, $dev->{key}, 'its key';
is $got->{online}, Mojo::JSON->false, 'not connected';
$w->is(200, undef, 'rename', 'devices_update', as => 'member', path => [ $dev->{id} ],
    body => { name => 'workstation' }, headers => { 'If-Match' => $dtx->res->headers->etag });
is $w->must(200, 'devices_get', as => 'member device', path => [ $dev->{id} ])->{name},
    'workstation', 'the device sees it';
$w->is(409, 'key_in_use', 'the key of another user\'s device', 'devices_create', as => 'owner',
    body => { name => 'x', platform => 'linux', public_key => $dev->{key} });
my $same = $w->must(201, 'devices_create', as => 'member',
    body => { name => 'workstation', platform => 'linux', public_key => $dev->{key} });
is $same->{device}{id}, $dev->{id}, 'registered again it is the same device';
$w->is(401, 'session_revoked', 'with a new session', 'devices_get', token => $dev->{token},
    path => [ $dev->{id} ]);
@$dev{qw(token refresh)} = @$same{qw(access_token refresh_token)};
$s->device($w->{user}{moderator}) for 1 .. 4;
is scalar(pages('devices_list', 2, as => 'moderator')), 5, 'all devices, page by page';

# --------------------------------------------------------------------- peers

my $peer = $w->must(200, 'peers_create', as => 'member device', path => [ $home->{network} ],
    body => { public_key => $s->wg_key, endpoints => [ '192.0.2.7:51820', '[2001:db8::7]:51820' ] });
is $peer->{id}, $home->{peer}, 'posted again it is the same peer';
is $peer->{endpoint}, '192.0.2.7:51820', 'the first endpoint';
my $theirs = $w->must(201, 'peers_create', as => 'owner', path => [ $home->{network} ],
    body => { device_id => $w->{device}{owner}{id}, public_key => $s->wg_key, name => 'gate' });
is $theirs->{name}, 'gate', 'a name';
isnt $theirs->{ip_address}, $peer->{ip_address}, 'an address of its own';
$w->is(409, 'key_in_use', 'a key that another peer has', 'peers_create', as => 'moderator',
    path => [ $home->{network} ],
    body => { device_id => $w->{device}{moderator}{id}, public_key => $peer->{public_key} });
$w->is(409, 'name_taken', 'a name that another peer has', 'peers_create', as => 'moderator',
    path => [ $home->{network} ],
    body => { device_id => $w->{device}{moderator}{id}, public_key => $s->wg_key, name => 'gate' });
$w->is(422, undef, 'a user must name a device', 'peers_create', as => 'moderator',
    path => [ $home->{network} ], body => { public_key => $s->wg_key });
$w->is(403, undef, 'one must have joined', 'peers_create', as => 'moderator', path => [ $home->{lobby} ],
    body => { device_id => $w->{device}{moderator}{id}, public_key => $s->wg_key });
is scalar(pages('peers_list', 1, as => 'member device', path => [ $home->{network} ])), 2,
    'two peers on two pages';
is scalar(@{ $w->must(200, 'networks_mesh', as => 'member', path => [ $home->{network} ])->{peers} }), 2,
    'and both in the mesh';

# a range that a device is in already
my $same_range = $w->must(201, 'networks_create', as => 'owner', path => [ $home->{tenant} ],
    body => { name => 'Overlap', cidr => '10.99.0.0/16', join_policy => 'open', visibility => 'public' });
$w->must(200, 'networks_join', as => 'member', path => [ $same_range->{id} ]);
$w->must(201, 'peers_create', as => 'member device', path => [ $net->{id} ],
    body => { public_key => $s->wg_key });
my $overlap = $w->is(409, 'address_overlap', 'overlapping ranges', 'peers_create',
    as => 'member device', path => [ $same_range->{id} ], body => { public_key => $s->wg_key });
like $overlap->{detail}, qr/Overlap.*Lan Party/, 'both networks are named';

# a /29 has six addresses
my @crowd = map { $s->device($eve) } 1 .. 6;
my @full = map { ($w->call('peers_create', token => $eve->{token}, path => [ $net->{id} ],
    body => { device_id => $_->{id}, public_key => $s->wg_key }))[1] } @crowd;
is scalar(grep { $_->{ip_address} } @full), 5, 'six addresses, one was taken';
is $full[5]{code}, 'network_full', 'the seventh is told so';
is $full[5]{status}, 409, 'as a conflict';

# ------------------------------------------------------------------ config

my (undef, undef, $ctx) = $w->call('peers_config', as => 'member', path => [ $home->{peer} ]);
is $ctx->res->headers->content_type, 'text/plain; charset=utf-8', 'a file by default';
is $ctx->res->headers->vary, 'Accept', 'Vary';
my $file = $ctx->res->body;
like $file, qr{^Address = \Q$peer->{ip_address}\E/24$}m, 'its address';
like $file, qr{^PublicKey = \Q$theirs->{public_key}\E$}m, 'the other peer';
like $file, qr{^AllowedIPs = \Q$theirs->{ip_address}\E/32$}m, 'its addresses';
unlike $file, qr{^PrivateKey}m, 'no private key';
like $file, qr{private key stays on the device}, 'and it says so';
unlike $file, qr{^PublicKey = \Q$peer->{public_key}\E$}m, 'not itself';
for my $accept ('text/plain', '*/*', 'text/html,*/*;q=0.8', 'application/json, text/plain') {
    (undef, undef, $ctx) = $w->call('peers_config', as => 'member', path => [ $home->{peer} ],
        headers => { Accept => $accept });
    is $ctx->res->body, $file, "Accept: $accept gives the file";
}
my $json = $w->must(200, 'peers_config', as => 'member', path => [ $home->{peer} ],
    headers => { Accept => 'application/json' });
is $json->{peer}{id}, $home->{peer}, 'or JSON';

SKIP: {
    my $mtu = $w->must(200, 'peers_list', as => 'member', path => [ $net->{id} ])->{items};
    my ($mine) = grep { $_->{device_id} eq $dev->{id} } @$mtu;
    (undef, undef, $ctx) = $w->call('peers_config', as => 'member', path => [ $mine->{id} ]);
    like $ctx->res->body, qr{^MTU = 1380$}m, 'the MTU of the network';
    like $ctx->res->body, qr{^Address = 10\.99\.0\.\d/29$}m, 'its prefix';
    skip 'wireguard-tools is missing', 3 if system('which wg-quick wg >/dev/null 2>&1') != 0;
    open my $fh, '>', $s->dir . '/gctest.conf' or die $!;
    chmod 0600, $fh;
    print {$fh} $ctx->res->body;
    close $fh;
    my $stripped = `wg-quick strip @{[ $s->dir ]}/gctest.conf 2>&1`;
    is $?, 0, 'wg-quick strip takes it' or diag $stripped;
    unlike $stripped, qr/^(?:Address|MTU)/m, 'and leaves what is for wg';

    # an interface of its own, in a network namespace of its own; its name is
    # the host's, though
    skip 'no wireguard-go, or not root', 1
        if $> != 0 || !-e '/dev/net/tun' || system('which wireguard-go >/dev/null 2>&1') != 0;
    (my $name = $s->dir) =~ s{.*-}{gct};
    open $fh, '>', $s->dir . '/stripped.conf' or die $!;
    print {$fh} $stripped;
    close $fh;
    my $shown = `unshare -n sh -c '
        wireguard-go -f $name >/dev/null 2>&1 & pid=\$!
        i=0; while [ ! -S /run/wireguard/$name.sock ] && [ \$i -lt 200 ]; do
            i=\$((i+1)); sleep 0.05; done
        wg setconf $name @{[ $s->dir ]}/stripped.conf && wg showconf $name
        kill \$pid; wait \$pid' 2>&1`;
    my ($with) = grep { $_->{device_id} ne $dev->{id} } @$mtu;
    like $shown, $with ? qr/PublicKey = \Q$with->{public_key}\E/ : qr/\[Interface\]/,
        'wg setconf takes it';
}

# ---------------------------------------------------------------------- chat

my @sent = map { $w->must(201, 'network_messages_create', as => ($_ % 2 ? 'member' : 'member device'),
    path => [ $home->{network} ], body => { content => "message $_ \x{1F600}" }) } 1 .. 5;
is join(' ', map { $_->{number} } @sent), '1 2 3 4 5', 'messages are numbered';
is $sent[0]{content}, "message 1 \x{1F600}", 'as they were written';
my $chat = $w->must(200, 'network_messages_list', as => 'owner', path => [ $home->{network} ]);
is_deeply [ map { $_->{id} } @{ $chat->{items} } ], [ map { $_->{id} } @sent ], 'in their order';
$chat = $w->must(200, 'network_messages_list', as => 'owner', path => [ $home->{network} ],
    query => { after_seq => $sent[1]{seq}, limit => 2 });
is join(' ', map { $_->{number} } @{ $chat->{items} }), '3 4', 'after_seq';
$chat = $w->must(200, 'network_messages_list', as => 'owner', path => [ $home->{network} ],
    query => { before_seq => $sent[3]{seq}, limit => 2 });
is join(' ', map { $_->{number} } @{ $chat->{items} }), '2 3', 'before_seq';
$key = uuid();
my @post = (as => 'member', path => [ $home->{tenant} ], body => { content => 'once' },
    headers => { 'Idempotency-Key' => $key });
is_deeply $w->must(201, 'tenant_messages_create', @post),
    $w->must(201, 'tenant_messages_create', @post), 'posted again with its key it is the same';
is scalar(@{ $w->must(200, 'tenant_messages_list', as => 'member',
    path => [ $home->{tenant} ])->{items} }), 1, 'and there once';

# -------------------------------------------------------------------- netmap

my $netmap = $w->must(200, 'devices_netmap', as => 'member device', path => [ $dev->{id} ]);
is scalar(@{ $netmap->{networks} }), 2, 'the netmaps of its networks';
is scalar(@{ $netmap->{self}{peers} }), 2, 'and what it has in them';

# --------------------------------------------------------------------- leave

$w->is(204, undef, 'leave', 'networks_leave', as => 'member', path => [ $home->{network} ]);
is scalar(@{ $w->must(200, 'peers_list', as => 'owner', path => [ $home->{network} ])->{items} }), 1,
    'its peers go with it';
$w->is(409, 'not_joined', 'once', 'networks_leave', as => 'member', path => [ $home->{network} ]);
$w->is(204, undef, 'a peer is removed', 'peers_delete', as => 'owner', path => [ $theirs->{id} ]);
$w->is(404, 'not_found', 'once', 'peers_delete', as => 'owner', path => [ $theirs->{id} ]);
$w->is(204, undef, 'a network is removed', 'networks_delete', as => 'owner', path => [ $net->{id} ]);
$w->is(404, 'not_found', 'with its peers', 'peers_list', as => 'owner', path => [ $net->{id} ]);

$w->is(412, 'precondition_failed', 'a device, in another version', 'devices_delete',
    as => 'owner', path => [ $w->{device}{owner}{id} ], headers => { 'If-Match' => '"99"' });
$w->is(204, undef, 'a device is removed', 'devices_delete', as => 'owner',
    path => [ $w->{device}{owner}{id} ], headers => { 'If-Match' => '*' });

$s->stop;
done_testing;
