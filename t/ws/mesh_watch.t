# Who watches how a network's devices reach each other: on two nodes, each told
# of what changes, of nothing else, and of nothing any more once he may not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Nodes;
use GoConnect::Server;
use MIME::Base64 qw(encode_base64);
use Test::More;

my $full = $ENV{GOCONNECT_FULL};
my $nodes = GoConnect::Nodes->start(count => 2, workers => 2);
my ($a, $b) = $nodes->all;
my %user = map { $_ => $a->register($_) } qw(ada bob eve);
my @ada = (token => $user{ada}{token});
my $t = $a->must(201, POST => '/v1/tenants',
    { name => 'Hall', visibility => 'public', access => 'open' }, @ada)->{id};
my $network = $a->must(201, POST => "/v1/tenants/$t/networks",
    { name => 'lan', visibility => 'public', join_policy => 'open' }, @ada)->{id};
for my $name (qw(bob eve)) {
    my @as = (token => $user{$name}{token});
    $a->must(200, POST => "/v1/tenants/$t/join", {}, @as);
    $a->must(200, POST => "/v1/networks/$network/join", {}, @as) if $name eq 'bob';
}
my $topic = "network:$network/mesh";

sub peer {
    my ($node, $name) = @_;
    my %p = (node => $node, %{ $a->device($user{$name}, name => "box-$name-" . ++$main::boxes) });
    $p{peer} = $a->must(201, POST => "/v1/networks/$network/peers",
        { public_key => GoConnect::Server::wg_key() }, token => $p{token})->{id};
    come(\%p, $node);
    return \%p;
}

sub come {
    my ($p, $node) = @_;
    $p->{ws} = $node->ws(token => $p->{token});
    $p->{ws}->expect('hello', timeout => 60);
    return;
}

sub report {
    my ($from, %to) = @_;
    is $from->{ws}->ask(path_status => { network_id => $network, paths =>
        [ map { { peer_id => $_, %{ $to{$_} } } } sort keys %to ] })->{type}, 'ok', 'a report is taken';
    return;
}

sub subscribe {
    my ($node, $token) = @_;
    my $ws = $node->ws(token => $token);
    $ws->expect('hello', timeout => 60);
    my $said = $ws->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] })->{data};
    return ($ws, $said);
}

sub links {
    my ($frame) = @_;
    return { map { ("$_->{from_peer_id} $_->{to_peer_id}" => $_->{path}) } @{ $frame->{data}{links} } };
}

# The frame that says this of a pair; what came before is passed over.
sub told {
    my ($ws, $from, $to, $path) = @_;
    return $ws->expect(sub {
        my ($f) = @_;
        return 0 if $f->{type} ne 'mesh' || $f->{topic} ne $topic || exists $f->{seq};
        return scalar grep { $_->{from_peer_id} eq $from && $_->{to_peer_id} eq $to } @{ $f->{data}{gone} }
            if !defined $path;
        return (links($f)->{"$from $to"} // '') eq $path;
    }, timeout => 60);
}

sub mesh_on {
    my ($node, $count) = @_;
    my $mesh;
    $a->_await("$count links", sub {
        $mesh = $node->must(200, GET => "/v1/networks/$network/mesh", undef, @ada);
        @{ $mesh->{links} } == $count;
    }, 90);
    return $mesh->{links};
}

my ($one, $two, $three) = (peer($a, 'ada'), peer($b, 'bob'), peer($b, 'bob'));
my ($p1, $p2, $p3) = map { $_->{peer} } $one, $two, $three;

# Who may.
my ($watch_a, $said) = subscribe($a, $user{ada}{token});
is_deeply $said, { topics => [ { topic => $topic, seq => 0 } ], refused => [] }, 'a member may watch';
my $first = $watch_a->expect('mesh', timeout => 60);
is_deeply $first->{data}, { network_id => $network, full => JSON::PP::true(), links => [], gone => [] },
    'and is told at once that nothing is known';
my ($watch_b) = subscribe($b, $user{bob}{token});
$watch_b->expect('mesh', timeout => 60);
my ($ws_eve, $no) = subscribe($a, $user{eve}{token});
is_deeply $no->{refused}, [ { topic => $topic, code => 'forbidden' } ], 'who has not joined may not';
$ws_eve->close;
for my $wrong ("tenant:$t/mesh", "user:$user{ada}{id}/mesh", "$topic/mesh", "network:$network/mes") {
    is $watch_a->ask(subscribe => { topics => [ { topic => $wrong } ] })->{data}{code}, 'invalid_fields',
        "there is no $wrong";
}

# What one node hears both tell, and the REST of both.
report($one, $p2, { path => 'direct', rtt => 1500, rx_bytes => 10, tx_bytes => 20 }, $p3, { path => 'relayed' });
for my $ws ($watch_a, $watch_b) {
    my $frame = told($ws, $p1, $p2, 'direct');
    my ($link) = grep { $_->{to_peer_id} eq $p2 } @{ $frame->{data}{links} };
    is_deeply [ @$link{qw(received_bytes sent_bytes)}, $link->{round_trip_ms} * 10 ], [ 10, 20, 15 ],
        'as it was told';
    ok !$frame->{data}{full}, 'as a change';
    is links($frame)->{"$p1 $p3"}, 'relayed', 'with the other pair';
}
report($two, $p1, { path => 'direct' });
told($_, $p2, $p1, 'direct') for $watch_a, $watch_b;
mesh_on($_, 3) for $a, $b;
pass 'both nodes answer with all of it';

# The same again is nothing new: the next frame is of what changed after it.
report($one, $p2, { path => 'direct', rtt => 1500, rx_bytes => 10, tx_bytes => 20 });
report($two, $p1, { path => 'none' });
for my $ws ($watch_a, $watch_b) {
    my $next = $ws->expect('mesh', timeout => 60);
    is_deeply links($next), { "$p2 $p1" => 'none' }, 'only what changed';
}

# Who begins to watch is told all.
my ($late) = subscribe($b, $user{bob}{token});
my $all = $late->expect('mesh', timeout => 60);
ok $all->{data}{full}, 'a new watcher gets it whole';
is_deeply links($all), { "$p1 $p2" => 'direct', "$p1 $p3" => 'relayed', "$p2 $p1" => 'none' }, '... all of it';
$late->close;

# A device that comes to the other node reports there; the last word counts.
$one->{ws}->close;
come($one, $b);
report($one, $p2, { path => 'relayed' });
told($_, $p1, $p2, 'relayed') for $watch_a, $watch_b;
pass 'a device that has moved to the other node';

# Garbage on the bus.
sub ring {
    my ($text) = @_;
    $a->sql('SELECT pg_notify(\'goconnect\', $$' . $text . '$$)');
    return;
}
my $id = sub { pack 'H*', $_[0] =~ tr/-//dr };
my $pair = sub { $id->($_[0]) . pack('CCNQ>Q>', @_[ 1 .. 5 ]) };
my $say = sub {
    my ($raw) = @_;
    return '{"bus":"mesh","node":"0123456789abcdef","links":"' . encode_base64($raw, '') . '"}';
};
my $group = "\1" . $id->($network) . $id->($p3);
ring($_) for '{"bus":"mesh"}', '{"bus":"mesh","node":"x","links":"AAAA"}', '{"bus":"mesh","node":"0123456789abcdef"}',
    '{"bus":"mesh","node":"0123456789abcdef","links":7}', '{"bus":"mesh","node":"0123456789abcdef","links":"%%%%"}',
    $say->(''), $say->("\1"), $say->("\2" . substr($group, 1) . "\1" . $pair->($p1, 1, 0, 0, 0, 0)),
    $say->("$group\1" . $pair->($p1, 9, 0, 0, 0, 0)), $say->("$group\1" . $pair->($p1, 1, 200, 0, 0, 0)),
    $say->("$group\2" . $pair->($p1, 1, 0, 0, 0, 0)), $say->("$group\xff" . "x" x 2000),
    '{"bus":"mesh","node":"0123456789abcdef","ask":[[[[', '{"bus":"mesh","node":"0123456789abcdef","links":"' . 'A' x 3900 . '"}';
report($two, $p3, { path => 'direct' });
told($_, $p2, $p3, 'direct') for $watch_a, $watch_b;
is scalar @{ mesh_on($_, 4) }, 4, 'garbage is nothing' for $a, $b;

# A peer that leaves takes its pairs along, on both nodes.
$a->must(204, DELETE => "/v1/peers/$p3", undef, @ada);
for my $ws ($watch_a, $watch_b) {
    my $frame = told($ws, $p1, $p3);
    is scalar(grep { /$p3/ } keys %{ links($frame) }), 0, 'the pairs of a peer that left are gone';
}
mesh_on($_, 2) for $a, $b;

# A worker killed, a node killed: it asks the other when it is back.
$a->kill_worker;
$watch_a->closed if $watch_a->is_open == 0;
mesh_on($_, 2) for $a, $b;
report($two, $p1, { path => 'direct', tx_bytes => 99 });
mesh_on($_, 2) for $a, $b;
$nodes->kill(0);
$nodes->up(0);
mesh_on($a, 2);
pass 'a node that was killed hears all from the other within seconds';

# Who may not any more is told no more.
is $watch_b->ask(ping => {})->{type}, 'ok', 'bob watches';
$a->must(204, DELETE => "/v1/tenants/$t/members/$user{bob}{id}", undef, @ada);
my $revoked = $watch_b->expect('revoked', timeout => 60);
ok scalar(grep { $_ eq "network:$network" } @{ $revoked->{data}{topics} }), 'then he is removed';
is_deeply $watch_b->ask(subscribe => { topics => [ { topic => $topic } ] })->{data},
    { topics => [], refused => [ { topic => $topic, code => 'not_found' } ] }, 'and may not watch again';
my $four = peer($b, 'ada');
($watch_a) = subscribe($a, $user{ada}{token});
$watch_a->expect('mesh', timeout => 60);
report($four, $p1, { path => 'direct' });
told($watch_a, $four->{peer}, $p1, 'direct');
is $watch_b->ask(ping => {})->{type}, 'ok', 'his socket lives';
is scalar(grep { $_->{type} eq 'mesh' && %{ links($_) }{"$four->{peer} $p1"} } @{ $watch_b->{frames} // [] }), 0,
    'without what happened since';

$_->close for grep { $_->is_open } map({ $_->{ws} } $one, $two, $four), $watch_a, $watch_b;
$nodes->stop;
done_testing;
