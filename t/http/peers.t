# What changes at a peer over HTTP: names, tags, routes, gateways, keys.
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
my $home = $w->{home};
my @peer = (path => [ $home->{peer} ]);

# ---------------------------------------------------------------------- fields

for my $case (
    [ { name => 'Not a label' }, 'name', 'invalid_format' ],
    [ { name => '' }, 'name', 'too_short' ],
    [ { name => undef }, 'name', 'invalid_type' ],
    [ { name => 'a' x 64 }, 'name', 'too_long' ],
    [ { tags => 'a' }, 'tags', 'invalid_type' ],
    [ { tags => [ 'a', 'B' ] }, 'tags[1]', 'invalid_format' ],
    [ { tags => [ 'a', '' ] }, 'tags[1]', 'too_short' ],
    [ { tags => [ 'a', 'b', 1 ] }, 'tags[2]', 'invalid_type' ],
    [ { tags => [ 'a' x 64 ] }, 'tags[0]', 'too_long' ],
    [ { tags => [ map { "t$_" } 1 .. 33 ] }, 'tags', 'too_long' ],
    [ { routes => ['192.168.5.1/24'] }, 'routes[0]', 'host_bits' ],
    [ { routes => ['192.168.5.0'] }, 'routes[0]', 'invalid_format' ],
    [ { routes => [ 'fd00:5::/64', 'fd00:5::1/64' ] }, 'routes[1]', 'host_bits' ],
    [ { routes => [undef] }, 'routes[0]', 'invalid_type' ],
    [ { routes => {} }, 'routes', 'invalid_type' ],
    [ { routes => [ map { "192.168.$_.0/24" } 1 .. 33 ] }, 'routes', 'too_long' ],
    [ { routes => [ $w->{home}{network_cidr} ] }, 'routes', 'invalid' ],
    [ { approved_routes => ['10.99.0.0/16'] }, 'approved_routes', 'unknown' ],
    [ { approved_routes => ['x'] }, 'approved_routes[0]', 'invalid_format' ],
    [ { gateway_offered => 'true' }, 'gateway_offered', 'invalid_type' ],
    [ { gateway_offered => 1 }, 'gateway_offered', 'invalid_type' ],
    [ { gateway_offered => undef }, 'gateway_offered', 'invalid_type' ],
    [ { gateway => true }, 'gateway', 'invalid' ],
    [ { ip_address => '10.0.0.1' }, 'ip_address', 'unknown_field' ],
) {
    my ($body, $field, $code) = @$case;
    my $as = $field =~ /^(?:routes|gateway_offered)/ ? 'member' : 'admin';
    my $answer = $w->is(422, undef, encode_json($body), 'peers_update', as => $as, @peer,
        body => $body);
    my %error = map { $_->{field} => $_->{code} } @{ $answer->{errors} // [] };
    is $error{$field}, $code, "... $field is $code" or diag explain $answer;
}

# --------------------------------------------------------------------- changes

my ($peer, $tx) = $w->is(200, undef, 'a device names itself and offers', 'peers_update',
    as => 'member device', @peer, body => { name => 'rack', gateway_offered => true,
        routes => [ '192.168.5.0/24', 'fd00:5::/64' ] });
is $peer->{name}, 'rack', 'its name';
ok $peer->{gateway_offered} && !$peer->{gateway}, 'offered, not yet it';
is_deeply $peer->{offered_routes}, [ '192.168.5.0/24', 'fd00:5::/64' ], 'routes offered';
is_deeply $peer->{routes}, [], 'none approved';
my $etag = $tx->res->headers->etag;
$w->is(403, 'forbidden', 'its user approves nothing', 'peers_update', as => 'member', @peer,
    body => { approved_routes => ['192.168.5.0/24'] });
($peer, $tx) = $w->is(200, undef, 'an admin does', 'peers_update', as => 'admin', @peer,
    body => { approved_routes => ['192.168.5.0/24'], gateway => true, tags => [ 'b', 'a', 'b' ] },
    headers => { 'If-Match' => $etag });
is_deeply $peer->{routes}, ['192.168.5.0/24'], 'routes approved';
ok $peer->{gateway}, 'the gateway';
is_deeply $peer->{tags}, [ 'a', 'b' ], 'tags';
$w->is(412, 'precondition_failed', 'an old If-Match', 'peers_update', as => 'admin', @peer,
    body => { name => 'lost' }, headers => { 'If-Match' => $etag });
my ($again, $tx2) = $w->is(200, undef, 'nothing', 'peers_update', as => 'admin', @peer, body => {});
is_deeply $again, $peer, '... changes nothing';
is $tx2->res->headers->etag, $tx->res->headers->etag, '... nor the ETag';
my $map = $w->must(200, 'devices_netmap', as => 'member device',
    path => [ $home->{device} ])->{networks}[0];
my ($mine) = grep { $_->{id} eq $home->{peer} } @{ $map->{peers} };
is_deeply [ @$mine{qw(name tags routes)} ], [ 'rack', [ 'a', 'b' ], ['192.168.5.0/24'] ],
    'the map says so';
ok !exists $mine->{offered_routes}, '... and not what is only offered';

my $other = $w->must(201, 'peers_create', as => 'owner', path => [ $home->{network} ],
    body => { device_id => $w->{device}{owner}{id}, public_key => $s->wg_key, name => 'desk' });
$w->is(409, 'name_taken', 'a name twice', 'peers_update', as => 'owner', path => [ $other->{id} ],
    body => { name => 'rack' });
$w->is(403, 'forbidden', 'a member deletes another\'s', 'peers_delete', as => 'member',
    path => [ $other->{id} ]);
$w->is(403, 'role_too_low', 'a moderator the owner\'s', 'peers_delete', as => 'moderator',
    path => [ $other->{id} ]);
for my $n (1 .. 8) {
    my $tagged = $w->must(201, 'peers_create', as => 'owner', path => [ $home->{network} ],
        body => { device_id => $s->device($w->{user}{owner})->{id}, public_key => $s->wg_key });
    $w->must(200, 'peers_update', as => 'owner', path => [ $tagged->{id} ],
        body => { tags => [ map { "t$n-$_" } 1 .. ($n < 8 ? 32 : 30) ] });
}
$w->is(409, 'limit_reached', 'too many tags in a network', 'peers_update', as => 'owner',
    path => [ $other->{id} ], body => { tags => ['more'] });

# ------------------------------------------------------------------------ keys

my ($old, $next) = ($peer->{public_key}, $s->wg_key);
$w->is(422, undef, 'no key', 'peers_rotate', as => 'member device', @peer,
    body => { public_key => 'A' x 43 . '=' });
$w->is(422, undef, 'no key to commit', 'peers_rotate_commit', as => 'member device', @peer,
    body => {});
$w->is(409, 'no_rotation', 'nothing was announced', 'peers_rotate_commit', as => 'member device',
    @peer, body => { public_key => $next });
$w->is(409, 'key_in_use', 'the key of another peer', 'peers_rotate', as => 'member device', @peer,
    body => { public_key => $other->{public_key} });
$peer = $w->must(200, 'peers_rotate', as => 'member device', @peer, body => { public_key => $next });
is_deeply [ @$peer{qw(public_key next_public_key)} ], [ $old, $next ], 'announced';
$w->is(409, 'key_in_use', 'an announced key is taken', 'peers_create', as => 'moderator',
    path => [ $home->{network} ],
    body => { device_id => $w->{device}{moderator}{id}, public_key => $next });
for my $time ('committed', 'committed again') {
    $peer = $w->must(200, 'peers_rotate_commit', as => 'member device', @peer,
        body => { public_key => $next });
    is_deeply [ @$peer{qw(public_key next_public_key)} ], [ $next, undef ], $time;
}
$w->must(201, 'peers_create', as => 'moderator', path => [ $home->{network} ],
    body => { device_id => $w->{device}{moderator}{id}, public_key => $old });

$s->stop;
done_testing;
