# Reservations, firewall rules, relays, local subnets and settings over HTTP.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Mojo::JSON qw(true false encode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my ($home, $foreign) = @$w{qw(home foreign)};
my $net = $w->must(201, 'networks_create', as => 'admin', path => [ $home->{tenant} ],
    body => { name => 'Addresses', cidr => '10.77.0.0/29', visibility => 'public',
        join_policy => 'open' });
my @net = (path => [ $net->{id} ]);
$w->must(200, 'networks_join', as => $_, @net) for qw(member moderator owner);

sub wrong {
    my ($what, $field, $code, @call) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $answer = $w->is(422, undef, $what, @call);
    my %error = map { $_->{field} => $_->{code} } @{ $answer->{errors} // [] };
    return is $error{$field}, $code, "... $field is $code" || diag explain $answer;
}

# ---------------------------------------------------------------- reservations

for my $case (
    [ {}, 'ip_address', 'required' ],
    [ { ip_address => '10.77.0.0' }, 'ip_address', 'invalid' ],
    [ { ip_address => '10.77.0.7' }, 'ip_address', 'invalid' ],
    [ { ip_address => '10.77.0.8' }, 'ip_address', 'invalid' ],
    [ { ip_address => '1.2.3' }, 'ip_address', 'too_short' ],
    [ { ip_address => '10.77.0.1/29.0.0.0' }, 'ip_address', 'too_long' ],
    [ { ip_address => 5 }, 'ip_address', 'invalid_type' ],
    [ { name => 'No Name' }, 'name', 'invalid_format' ],
    [ { user_id => 'x' }, 'user_id', 'invalid_format' ],
    [ { user_id => $w->{user}{outsider}{id} }, 'user_id', 'unknown' ],
    [ { device_id => $foreign->{device} }, 'device_id', 'unknown' ],
    [ { user_id => $home->{user}, device_id => $home->{device} }, 'device_id', 'invalid' ],
    [ { name => 'x', address => '10.77.0.1' }, 'address', 'unknown_field' ],
) {
    my ($body, $field, $code) = @$case;
    wrong(encode_json($body), $field, $code, 'reservations_create', as => 'admin', @net,
        body => $body);
}

my ($held, $tx) = $w->is(201, undef, 'an address for a device', 'reservations_create',
    as => 'admin', @net, body => { ip_address => '10.77.0.5', name => 'server',
        device_id => $home->{device} });
is $tx->res->headers->location, "/v1/reservations/$held->{id}", 'Location';
is $tx->res->headers->etag, '"1"', 'ETag';
my $key = $s->sql('SELECT gen_random_uuid()') =~ s/\s+//gr;
my @once = (as => 'admin', @net, body => { user_id => $w->{user}{moderator}{id} },
    headers => { 'Idempotency-Key' => $key });
my $users = $w->must(201, 'reservations_create', @once);
is $users->{ip_address}, '10.77.0.1', 'the next free one for a user';
is_deeply $w->must(201, 'reservations_create', @once), $users, '... once for one key';
$w->is(409, 'idempotency_conflict', '... and no other body', 'reservations_create', as => 'admin',
    @net, body => { name => 'else' }, headers => { 'Idempotency-Key' => $key });
$w->is(409, 'address_taken', 'an address twice', 'reservations_create', as => 'admin', @net,
    body => { ip_address => '10.77.0.5' });
$w->is(409, 'name_taken', 'a name twice', 'reservations_create', as => 'admin', @net,
    body => { name => 'server' });
my $named = $w->must(201, 'reservations_create', as => 'admin', @net,
    body => { ip_address => '10.77.0.6', name => 'printer' });

my $page = $w->must(200, 'reservations_list', as => 'admin', @net, query => { limit => 2 });
is scalar @{ $page->{items} }, 2, 'a page';
$page = $w->must(200, 'reservations_list', as => 'admin', @net,
    query => { limit => 2, cursor => $page->{next_cursor} });
is_deeply $page, { items => [$named], next_cursor => undef }, 'and the last one';
wrong('a cursor', 'cursor', 'invalid', 'reservations_list', as => 'admin', @net,
    query => { cursor => 'x' });

sub join_as {
    my ($status, $who, %body) = @_;
    return $w->must($status, 'peers_create', as => $who, @net,
        body => { device_id => $s->device($w->{user}{$who})->{id}, public_key => $s->wg_key, %body });
}

is join_as(201, 'member')->{ip_address}, '10.77.0.2', 'who comes gets what is not held';
$w->is(409, 'name_taken', 'nor a name that is', 'peers_create', as => 'owner', @net,
    body => { device_id => $w->{device}{owner}{id}, public_key => $s->wg_key, name => 'server' });
my $server = $w->must(201, 'peers_create', as => 'member device', @net,
    body => { public_key => $s->wg_key });
is "$server->{ip_address} $server->{name}", '10.77.0.5 server', 'the holder its address and name';
is join_as(201, 'moderator')->{ip_address}, '10.77.0.1', 'a user his';
is join_as(201, 'member', name => 'printer')->{ip_address}, '10.77.0.6', 'a name its';
join_as(201, 'owner') for 1 .. 2;
is join_as(409, 'owner')->{code}, 'network_full', 'full';
$w->is(409, 'network_full', '... and nothing to hold', 'reservations_create', as => 'admin', @net,
    body => { name => 'late' });
$s->sql("INSERT INTO goconnect.reservations (network_id, ip_address) "
    . "SELECT '$home->{network}', host('10.0.0.0'::inet + i)::inet FROM generate_series(1, 1000) i");
$w->is(409, 'limit_reached', 'a thousand', 'reservations_create', as => 'admin',
    path => [ $home->{network} ], body => { name => 'more' });
$w->is(412, 'precondition_failed', 'If-Match', 'reservations_delete', as => 'admin',
    path => [ $held->{id} ], headers => { 'If-Match' => '"2"' });
(undef, $tx) = $w->is(204, undef, 'let go', 'reservations_delete', as => 'admin', path => [ $held->{id} ],
    headers => { 'If-Match' => '"1"' });
is $tx->res->body, '', '... without a body';
$w->is(404, 'not_found', 'gone', 'reservations_delete', as => 'admin', path => [ $held->{id} ]);

# ----------------------------------------------------------------------- rules

my ($rules, $rtx) = $w->is(200, undef, 'no rules', 'rules_get', as => 'member device', @net);
is_deeply $rules, { rules => [] }, '... at all';
for my $case (
    [ undef, 'rules', 'invalid_type' ], [ {}, 'rules', 'invalid_type' ],
    [ [ {} ], 'rules[0].action', 'required' ], [ ['x'], 'rules[0]', 'invalid_type' ],
    [ [ { action => 'drop' } ], 'rules[0].action', 'invalid_choice' ],
    [ [ { action => 'deny' }, { action => 'deny', source => 'role:king' } ], 'rules[1].source',
        'invalid_format' ],
    [ [ { action => 'deny', destination => '10.0.0.1/8' } ], 'rules[0].destination',
        'invalid_format' ],
    [ [ { action => 'deny', source => undef } ], 'rules[0].source', 'invalid_type' ],
    [ [ { action => 'deny', protocol => 'sctp' } ], 'rules[0].protocol', 'invalid_choice' ],
    [ [ { action => 'deny', port_first => 80 } ], 'rules[0].protocol', 'invalid' ],
    [ [ { action => 'deny', protocol => 'icmp', port_first => 80 } ], 'rules[0].protocol', 'invalid' ],
    [ [ { action => 'deny', protocol => 'tcp', port_last => 80 } ], 'rules[0].port_first',
        'required' ],
    [ [ { action => 'deny', protocol => 'tcp', port_first => 80, port_last => 79 } ],
        'rules[0].port_last', 'out_of_range' ],
    [ [ { action => 'deny', protocol => 'tcp', port_first => 0 } ], 'rules[0].port_first',
        'out_of_range' ],
    [ [ { action => 'deny', protocol => 'tcp', port_first => '80' } ], 'rules[0].port_first',
        'invalid_type' ],
    [ [ { action => 'deny', ports => '80' } ], 'rules[0]', 'unknown_field' ],
    [ [ { action => 'deny', source => 'peer:00000000-0000-4000-8000-000000000000' } ],
        'rules[0].source', 'unknown' ],
    [ [ map { { action => 'deny' } } 1 .. 129 ], 'rules', 'too_long' ],
) {
    my ($list, $field, $code) = @$case;
    wrong(substr(encode_json($list), 0, 80), $field, $code, 'rules_put', as => 'admin', @net,
        body => { rules => $list });
}
wrong('no rules named', 'rules', 'required', 'rules_put', as => 'admin', @net, body => {});
my $etag = $rtx->res->headers->etag;
($rules, $rtx) = $w->is(200, undef, 'rules', 'rules_put', as => 'admin', @net,
    headers => { 'If-Match' => $etag },
    body => { rules => [ { action => 'allow', source => 'role:member', destination => 'tag:web',
        protocol => 'tcp', port_first => 80 }, { action => 'deny', source => "peer:$server->{id}" } ] });
is join(' ', map { "$_->{action} $_->{source} $_->{destination} $_->{protocol} "
    . ($_->{port_last} // '-') } @{ $rules->{rules} }),
    "allow role:member tag:web tcp 80 deny peer:$server->{id} any any -", '... with what they leave out';
$w->is(412, 'precondition_failed', 'an old If-Match', 'rules_put', as => 'admin', @net,
    headers => { 'If-Match' => $etag }, body => { rules => [] });
my ($again, $gtx) = $w->is(200, undef, 'a member reads them', 'rules_get', as => 'member', @net);
is_deeply $again, $rules, '... the same';
is(($w->call('rules_get', as => 'member', @net, quiet => 1,
    headers => { 'If-None-Match' => $gtx->res->headers->etag }))[0], 304, '... once');
is_deeply $w->must(200, 'devices_netmap', as => 'member device', path => [ $home->{device} ])
    ->{networks}[ ($home->{network} lt $net->{id}) ? 1 : 0 ]{rules}, $rules->{rules}, '... on the map';

# -------------------------------------------------------------------- subnets

my @device = (path => [ $home->{device} ]);
my $warned = $w->must(200, 'devices_update', as => 'member device', @device,
    body => { subnets => [ '10.77.0.0/16', 'fd00:1::/64' ] });
is_deeply [ map { "$_->{code} $_->{subnet} $_->{network_id}" } @{ $warned->{warnings} } ],
    ["local_subnet_overlap 10.77.0.0/16 $net->{id}"], 'a device tells where it sits and is warned';
is_deeply $warned->{subnets}, [ '10.77.0.0/16', 'fd00:1::/64' ], '... it is known';
is $w->must(200, 'peers_create', as => 'member device', @net,
    body => { public_key => $server->{public_key}, subnets => ['192.168.1.0/24'] })->{warnings}[0],
    undef, 'elsewhere all is well';
$w->is(403, 'user_session_required', 'it does not name itself', 'devices_update',
    as => 'member device', @device, body => { name => 'x' });
wrong('the internet', 'subnets', 'invalid', 'devices_update', as => 'member', @device,
    body => { subnets => ['0.0.0.0/0'] });
wrong('host bits', 'subnets[1]', 'host_bits', 'devices_update', as => 'member', @device,
    body => { subnets => [ '10.0.0.0/8', '10.0.0.1/8' ] });
wrong('host bits', 'subnets[0]', 'host_bits', 'peers_create', as => 'member device', @net,
    body => { public_key => $server->{public_key}, subnets => ['10.0.0.1/8'] });

# ----------------------------------------------------- settings, relays, ranges

for my $settings ({ mtu => 1279 }, { mtu => 9001 }, { mtu => '1400' }, { mtu => undef },
    { birthday_punching => 1 }, { reflector_ports => [0] }, { reflector_ports => [65536] },
    { reflector_ports => [ 1 .. 65 ] }, { reflector_ports => 80 }, { unknown => 1 })
{
    wrong(encode_json($settings), 'settings', 'invalid', 'networks_update', as => 'admin', @net,
        body => { settings => $settings });
}
is_deeply $w->must(200, 'networks_update', as => 'admin', @net, body => { settings =>
    { mtu => 1280, birthday_punching => false, reflector_ports => [ 1, 65535 ] } })->{settings},
    { mtu => 1280, birthday_punching => false, reflector_ports => [ 1, 65535 ] }, 'settings';

$s->sql("INSERT INTO goconnect.relays (name, address4, address6, url) "
    . "VALUES ('b', '203.0.113.5', '2001:db8::5', 'wss://b/v1/relay'), ('a', '203.0.113.4', NULL, NULL)");
my $relays = $w->must(200, 'relays_list', as => 'member device', query => { limit => 1 });
is $relays->{items}[0]{name}, 'a', 'a relay';
is $w->must(200, 'relays_list', as => 'outsider',
    query => { limit => 1, cursor => $relays->{next_cursor} })->{items}[0]{address6}, '2001:db8::5',
    'and the next';
wrong('a page of none', 'limit', 'out_of_range', 'relays_list', as => 'member',
    query => { limit => 0 });

$s->sql('UPDATE goconnect.cidr_pool SET network_id = NULL; DELETE FROM goconnect.cidr_pool');
$w->is(409, 'pool_exhausted', 'no range is left', 'networks_create', as => 'admin',
    path => [ $home->{tenant} ], body => { name => 'late' });

$s->stop;
done_testing;
