# What devices tell of how they reach each other, and who may read it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $ada = $s->register('ada');
my @as = (token => $ada->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'T' }, @as);
my ($network, $other) = map { $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => $_ }, @as)->{id} } qw(one two);

my (@device, @peer, @ws);
for my $n (0 .. 2) {
    $device[$n] = $s->device($ada, name => "device-$n");
    $peer[$n] = $s->must([ 200, 201 ], POST => "/v1/networks/$network/peers",
        { public_key => GoConnect::Server::wg_key() }, token => $device[$n]{token})->{id};
    $ws[$n] = $s->ws(token => $device[$n]{token});
    $ws[$n]->expect('hello');
}

sub report {
    my ($ws, $data) = @_;
    return $ws->ask(path_status => $data);
}

sub mesh { return $s->must(200, GET => "/v1/networks/$network/mesh" . ($_[0] // ''), undef, @as) }

is_deeply mesh()->{links}, [], 'nothing is known at first';
is_deeply [ map { $_->{id} } @{ mesh()->{peers} } ],
    [ map { $_->{id} } @{ $s->must(200, GET => "/v1/networks/$network/peers", undef, @as)->{items} } ],
    'the peers';

is report($ws[0], { network_id => $network, paths => [
    { peer_id => $peer[1], path => 'direct', rtt => 1500, rx_bytes => 10, tx_bytes => 20 },
    { peer_id => $peer[2], path => 'relayed' } ] })->{type}, 'ok', 'a report is taken';
is report($ws[1], { network_id => $network, paths => [ { peer_id => $peer[0], path => 'none' } ] })->{type},
    'ok', 'and another';

# whichever worker is asked
for my $round (1 .. 8) {
    my %link = map { ("$_->{from_peer_id} $_->{to_peer_id}" => $_) } @{ mesh()->{links} };
    is keys %link, 3, 'three links' if $round == 1;
    my $first = $link{"$peer[0] $peer[1]"};
    is_deeply [ @$first{qw(path received_bytes sent_bytes)}, $first->{round_trip_ms} * 10 ],
        [ 'direct', 10, 20, 15 ], 'as it was told';
    is $link{"$peer[0] $peer[2]"}{round_trip_ms}, undef, 'what was not measured is null' if $round == 1;
    is $link{"$peer[1] $peer[0]"}{path}, 'none', 'each direction by itself' if $round == 1;
}
is scalar @{ mesh("?peer=$peer[2]")->{links} }, 1, 'of one peer';

# What is wrong is refused whole.
for my $case (
    [ 422, 'no list', { network_id => $network } ],
    [ 422, 'no network', { paths => [] } ],
    [ 422, 'too many', { network_id => $network, paths => [ map { { peer_id => $peer[1], path => 'direct' } } 1 .. 257 ] } ],
    [ 422, 'another path', { network_id => $network, paths => [ { peer_id => $peer[1], path => 'magic' } ] } ],
    [ 422, 'no id', { network_id => $network, paths => [ { peer_id => 'x', path => 'direct' } ] } ],
    [ 422, 'a negative count', { network_id => $network, paths => [ { peer_id => $peer[1], path => 'direct', rx_bytes => -1 } ] } ],
    [ 422, 'a number too large', { network_id => $network, paths => [ { peer_id => $peer[1], path => 'direct', rtt => 2**40 } ] } ],
    [ 422, 'no object', { network_id => $network, paths => [5] } ],
    [ 403, 'another network', { network_id => $other, paths => [] } ],
) {
    my ($status, $name, $data) = @$case;
    my $answer = report($ws[2], $data);
    is "$answer->{type} $answer->{data}{status}", "error $status", "refused: $name";
}
is scalar @{ mesh()->{links} }, 3, 'and changes nothing';

# A peer that is gone takes its links with it.
$s->must(204, DELETE => "/v1/peers/$peer[1]", undef, @as);
is_deeply [ map { $_->{to_peer_id} } @{ mesh()->{links} } ], [ $peer[2] ], 'without the peer that left';

# Many: somebody has to be named.
$s->sql(<<~"SQL");
    WITH d AS (
        INSERT INTO goconnect.devices (user_id, name, platform, public_key)
        SELECT '$ada->{id}', 'many', 'other', encode(sha256(convert_to('many' || i, 'UTF8')), 'base64')
          FROM generate_series(1, 205) i RETURNING id, user_id, public_key
    )
    INSERT INTO goconnect.peers (tenant_id, network_id, device_id, user_id, role, name, ip_address, ip6_address, public_key)
    SELECT n.tenant_id, n.id, d.id, d.user_id, 'owner', 'many-' || row_number() OVER (),
           host(n.cidr::inet + 20 + row_number() OVER ())::inet, host(n.cidr6::inet + 900 + row_number() OVER ())::inet,
           encode(sha256(convert_to(d.public_key, 'UTF8')), 'base64')
      FROM d, goconnect.networks n WHERE n.id = '$network'
    SQL
my ($status, $json) = $s->api(GET => "/v1/networks/$network/mesh", undef, @as);
is "$status $json->{errors}[0]{field} $json->{errors}[0]{code}", '422 peer required', 'more than 200';
is scalar @{ mesh("?peer=$peer[0]")->{links} }, 1, '... but of one';
($status, $json) = $s->api(GET => "/v1/networks/$other/mesh?peer=$peer[0]", undef, @as);
is "$status $json->{errors}[0]{code}", '422 unknown', "another network's peer";

$_->close for @ws;
$s->stop;
done_testing;
