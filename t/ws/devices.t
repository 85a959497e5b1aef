# What a device lives on: self, netmap, deltas, presence, signals, endpoints.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::RawWS;
use GoConnect::Server;
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $ada = $s->register('ada');
my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
my $n = $s->must(201, POST => "/v1/tenants/$t->{id}/networks",
    { name => 'lan', cidr => '10.20.0.0/16' }, token => $ada->{token});
$s->must([ 200, 204 ], POST => "/v1/networks/$n->{id}/join", {}, token => $ada->{token});
my $topic = "network:$n->{id}";

sub uuid { sprintf '%08x-0000-4000-8000-%012x', rand 2**32, rand 2**40 }

sub join_peer {
    my ($device, %field) = @_;
    return $s->must([ 200, 201 ], POST => "/v1/networks/$n->{id}/peers",
        { public_key => GoConnect::Server::wg_key(), %field }, token => $device->{token});
}

my @device = map { $s->device($ada, name => "box$_") } 1, 2;
my @ws;

for my $i (0, 1) {
    $ws[$i] = $s->ws(token => $device[$i]{token});
    my $hello = $ws[$i]->expect('hello');
    is $hello->{data}{device}{name}, 'box' . ($i + 1), 'hello names the device';
    is_deeply $hello->{data}{peers}, [], 'it has no peers yet';
}

# ---------------------------------------------------------- self and netmap

my $own = "device:$device[0]{id}";
my $answer = $ws[0]->ask(subscribe => { topics => [ { topic => $own, seq => undef },
    { topic => $topic, seq => undef } ] });
is_deeply [ map { $_->{topic} } @{ $answer->{data}{topics} } ], [ $own, $topic ], 'subscribed';
my $self = $ws[0]->expect('self');
is $self->{topic}, $own, 'self on the device\'s topic';
is_deeply $self->{data}{peers}, [], 'with no peers yet';
my $map = $ws[0]->expect('netmap');
is "$map->{data}{part} $map->{data}{last}", '0 1', 'the netmap in one part';
is $map->{data}{network}{id}, $n->{id}, 'of the network';
is_deeply $map->{data}{peers}, [], 'with no peers';
my %seq = map { $_->{topic} => $_->{seq} } @{ $answer->{data}{topics} };
is $map->{seq}, $seq{$topic}, 'at the seq of the answer';

my @peer = (join_peer($device[0]));
my $delta = $ws[0]->expect('netmap_delta');
is $delta->{seq}, $seq{$topic} + 1, 'a delta follows';
is $delta->{data}{base_version}, $map->{data}{version}, 'on the netmap\'s version';
is $delta->{data}{upsert}[0]{id}, $peer[0]{id}, 'with the new peer';
is $ws[0]->expect('self')->{data}{peers}[0]{peer_id}, $peer[0]{id}, 'and self has it';

$ws[1]->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] });
is_deeply [ map { $_->{id} } @{ $ws[1]->expect('netmap')->{data}{peers} } ], [ $peer[0]{id} ],
    'another device gets the map with it';
push @peer, join_peer($device[1]);
is $_->expect('netmap_delta')->{data}{upsert}[0]{id}, $peer[1]{id}, 'both see the second peer'
    for @ws;

# ---------------------------------------------------------------- endpoints

my $version = $ws[0]->ask(endpoints => { network_id => $n->{id},
    endpoints => [ '192.0.2.1:51820', '[2001:db8::1]:51820' ] });
is $version->{type}, 'ok', 'endpoints';
for my $ws (@ws) {
    my $change = $ws->expect('netmap_delta');
    is $change->{data}{upsert}[0]{endpoint}, '192.0.2.1:51820', 'come as a delta';
}
is $ws[0]->ask(endpoints => { network_id => $n->{id},
    endpoints => [ '192.0.2.1:51820', '[2001:db8::1]:51820' ] })->{type}, 'ok', 'the same again';
is $ws[0]->ask(endpoints => { network_id => $n->{id}, endpoints => ['nowhere'] })->{data}{status},
    422, 'an invalid endpoint';
is $ws[0]->ask(endpoints => { network_id => uuid(), endpoints => [] })->{data}{status},
    404, 'of an unknown network';
is $ws[0]->ask(endpoints => { endpoints => [] })->{data}{status}, 422, 'of no network';
ok !(grep { $_->{type} eq 'netmap_delta' } $ws[1]->frames), 'what changes nothing is not told';

# ------------------------------------------------------------------ signals

my $signal = { candidates => ["192.0.2.7:1\x{e9}"], n => 1 };
is $ws[0]->ask(signal => { network_id => $n->{id}, to_peer_id => $peer[1]{id}, data => $signal })
    ->{type}, 'ok', 'a signal';
is_deeply $ws[1]->expect('signal'), { type => 'signal', data => { network_id => $n->{id},
    from_peer_id => $peer[0]{id}, data => $signal } }, 'reaches the peer';
is $ws[0]->ask(signal => { network_id => $n->{id}, to_peer_id => $peer[1]{id},
    data => { x => 'x' x 4000 } })->{data}{status}, 413, 'too large a signal';
is $ws[0]->ask(signal => { network_id => uuid(), to_peer_id => $peer[1]{id}, data => {} })
    ->{data}{code}, 'not_a_peer', 'from a network where one is no peer';
is $ws[0]->ask(signal => { network_id => $n->{id}, to_peer_id => $peer[1]{id}, data => 7 })
    ->{data}{status}, 422, 'a signal that is no object';
my $user = $s->ws(token => $ada->{token});
$user->expect('hello');
is $user->ask(signal => { network_id => $n->{id}, to_peer_id => $peer[1]{id}, data => {} })
    ->{data}{code}, 'not_a_peer', 'a user\'s socket sends no signals';

# another network of the same devices is another room
my $n2 = $s->must(201, POST => "/v1/tenants/$t->{id}/networks", { name => 'other' },
    token => $ada->{token});
$s->must([ 200, 204 ], POST => "/v1/networks/$n2->{id}/join", {}, token => $ada->{token});
my $peer2 = $s->must(201, POST => "/v1/networks/$n2->{id}/peers",
    { public_key => GoConnect::Server::wg_key() }, token => $device[0]{token});
$ws[0]->expect(sub { $_[0]{type} eq 'self' && @{ $_[0]{data}{peers} } == 2 });
is $ws[0]->ask(signal => { network_id => $n2->{id}, to_peer_id => $peer[1]{id}, data => {} })
    ->{type}, 'ok', 'a signal to a peer of another network';
$ws[1]->ask('ping');
ok !(grep { $_->{type} eq 'signal' } $ws[1]->frames), 'arrives nowhere';

# ----------------------------------------------------------------- presence

$user->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] });
sub status_of {
    my ($peer, $status) = @_;
    return sub {
        my ($frame) = @_;
        return 0 if $frame->{type} ne 'peer_status';
        my $data = $frame->{data};
        return scalar grep { $_->{peer_id} eq $peer && $_->{status} eq $status }
            $data->{peers} ? @{ $data->{peers} } : $data;
    };
}
my %online;
while (keys %online < 2) {
    my $data = $user->expect('peer_status')->{data};
    $online{ $_->{peer_id} } = 1
        for grep { $_->{status} eq 'online' } $data->{peers} ? @{ $data->{peers} } : $data;
}
ok $online{ $peer[0]{id} } && $online{ $peer[1]{id} }, 'a subscriber learns who is online';
$ws[1]->close;
my $status = $user->expect(status_of($peer[1]{id}, 'offline'));
ok !defined $status->{seq}, 'a device that goes is offline: a state, without seq';
ok $ws[0]->expect(status_of($peer[1]{id}, 'offline')), 'its peers learn it too';
$ws[1] = $s->ws(token => $device[1]{token});
is_deeply [ sort map { $_->{peer_id} } @{ $ws[1]->expect('hello')->{data}{peers} } ],
    [ $peer[1]{id} ], 'it comes back';
ok $user->expect(status_of($peer[1]{id}, 'online')), 'and is online';

# --------------------------------------------- a peer that leaves, by a delta

$s->must(204, DELETE => "/v1/peers/$peer[1]{id}", undef, token => $device[1]{token});
my $gone = $ws[0]->expect(sub { $_[0]{type} eq 'netmap_delta' && @{ $_[0]{data}{remove} } });
is_deeply $gone->{data}{remove}, [ $peer[1]{id} ], 'the others learn that it has left';

# ------------------------------------------------------ a map of 1,000 peers

my $count = 1000;
my @crowd = map { $s->device($ada, name => "crowd$_") } 1 .. 10;
$s->sql(<<"SQL");
INSERT INTO goconnect.devices (id, user_id, name, platform, public_key)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, '$ada->{id}', 'd' || i, 'linux',
       encode(sha256(('device' || i)::bytea), 'base64')
  FROM generate_series(1, $count) i;
SQL
my @columns = split /,/, $s->sql("SELECT string_agg(column_name, ',' ORDER BY ordinal_position) "
    . "FROM information_schema.columns WHERE table_schema = 'goconnect' AND table_name = 'peers'");
my %value = (
    id => "('00000000-0000-4000-9000-' || lpad(to_hex(i), 12, '0'))::uuid",
    device_id => "('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid",
    name => "'d' || i", ip_address => "'10.20.128.0'::inet + i",
    ip6_address => "set_masklen(p.ip6_address, 128) + 100000 + i",
    public_key => "encode(sha256(('peer' || i)::bytea), 'base64')",
    endpoints => "ARRAY['192.0.2.' || (i % 250) || ':51820']",
);
my $columns = join ', ', @columns;
my $values = join ', ', map { $value{$_} // "p.$_" } @columns;
$s->sql("INSERT INTO goconnect.peers ($columns) SELECT $values FROM goconnect.peers p, "
    . "generate_series(1, $count) i WHERE p.id = '$peer[0]{id}'");

sub whole_map {
    my ($ws) = @_;
    my @part;
    while (1) {
        push @part, $ws->expect('netmap');
        last if $part[-1]{data}{last};
    }
    return @part;
}

# a fresh server has no map in its memory
$_->close for @ws, $user;
my @old = keys %{ $s->worker_pids };
$s->reload;
$s->_await('the old workers to leave', sub { !grep { kill 0, $_ } @old });
$s->remember;
$ws[0] = $s->ws(token => $device[0]{token});
$ws[0]->expect('hello');
@{ $ws[0]{raw} } = ();
$ws[0]->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] }, timeout => 30);
my @part = whole_map($ws[0]);
cmp_ok scalar @part, '>', 2, 'the map comes in parts';
is join(' ', map { $_->{data}{part} } @part), join(' ', 0 .. $#part), 'numbered';
is scalar(grep { $_->{data}{last} } @part), 1, 'one of them the last';
is scalar(grep { exists $_->{data}{network} } @part), 1, 'the network in the first alone';
my %versions = map { $_->{data}{version} => 1 } @part;
is keys %versions, 1, 'at one version';
my %ids = map { $_->{id} => 1 } map { @{ $_->{data}{peers} } } @part;
is keys %ids, $count + 1, 'all the peers, each once';
my ($longest) = sort { $b <=> $a } map { length } grep { /^\{"type":"netmap"/ } @{ $ws[0]{raw} };
cmp_ok $longest, '<=', 65536, 'no part above 64 KiB';

# more devices come at once and share it
my $turn = 0;
my @sockets = map {
    $s->ws(token => $_->{token}, headers => $turn++ % 2
        ? { 'Sec-WebSocket-Extensions' => 'permessage-deflate; client_max_window_bits' } : {})
} @crowd;
$_->expect('hello') for @sockets;
is scalar(grep { $_->{tx}->compressed } @sockets), int(@sockets / 2), 'compressed if offered';
$_->send(subscribe => { topics => [ { topic => $topic, seq => undef } ] }) for @sockets;
for my $ws (@sockets) {
    my %all = map { $_->{id} => 1 } map { @{ $_->{data}{peers} } } whole_map($ws);
    is keys %all, $count + 1, 'a shared map is whole'
        . ($ws->{tx}->compressed ? ', compressed' : '');
}
$_->close for @sockets;

# a slow reader of the map: not counted against its queue, and live afterwards
my $slow = GoConnect::RawWS->connect($s, query => "token=$crowd[0]{token}");
$slow->write($slow->frame(text => encode_json({ type => 'subscribe', id => 'a',
    data => { topics => [ { topic => $topic, seq => undef } ] } })));
my $first = join_peer($crowd[1], name => 'late');
my ($peers, $last, $deltas, $base) = (0, 0, 0);
while (!$last || !$deltas) {
    my $frame = $slow->json;
    if ($frame->{type} eq 'netmap') {
        is $deltas, 0, 'no delta before the map is whole' if $frame->{data}{last};
        $peers += @{ $frame->{data}{peers} };
        $last = $frame->{data}{last};
        $base = $frame->{data}{version};
        $deltas++ if $last && grep { $_->{id} eq $first->{id} } @{ $frame->{data}{peers} };
    } elsif ($frame->{type} eq 'netmap_delta') {
        is $frame->{data}{base_version}, $base, 'the delta fits the map';
        $deltas++;
    }
}
cmp_ok $peers, '>=', $count + 1, 'the map is whole';
$slow->close;

$ws[0]->close;
$s->stop;
done_testing;
