# The relay in nginx, by hand-made packets: it answers STUN, registers who shows
# a credential, forwards what its rules let through and counts what they do not;
# reloads, killed workers and restarts lose nothing of what it knows.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::RelayPeer;
use GoConnect::Server;
use MIME::Base64 qw(decode_base64);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

my $RELAY = '7d0f5c2e-0000-4000-8000-00000000a11c';
my ($UDP, $UDP_SEGMENT) = (17, 103);

my $keys = GoConnect::Server::make_keys();
my ($master) = map { decode_base64($_) } $keys =~ /^relay \S+ (\S+)$/m;

# Two ports in a row that are free on both addresses.
my $port;
for (1 .. 100) {
    $port = 20000 + int rand 12000;
    last if 4 == grep { IO::Socket::IP->new(Proto => 'udp', LocalHost => $_->[0], LocalPort => $_->[1]) }
        map { [ '127.0.0.1', $_ ], [ '::1', $_ ] } $port, $port + 1;
}

my $dir = "listen=127.0.0.1:$port listen=[::1]:$port peers=1000";
my $s = GoConnect::Server->start(workers => 2, keys => $keys,
    http => "goconnect_relay $RELAY $dir state=relay.state;");
my $world = GoConnect::RelayPeer::World->new(relay => $RELAY, master => $master, to => [ '127.0.0.1', $port ]);
my %as = (six => { to => [ '::1', $port ] }, other => { to => [ '127.0.0.1', $port + 1 ] });

# How often something has become of a packet.
sub counted {
    my ($result) = @_;
    return $s->ua->get($s->url . '/counters')->res->body =~ /^goconnect_relay_packets_total\{result="$result"\} (\d+)/m
        ? $1 : die "no counter for $result";
}

# What is sent by nobody but the sender's own reason is counted as it.
sub is_dropped {
    my ($result, $peer, $text, $name) = @_;
    my $before = counted($result);
    $peer->send($text);
    my $end = time + 60;
    1 while counted($result) == $before && time < $end;
    return is counted($result), $before + 1, "$name: dropped, and counted as $result";
}

sub binding { GoConnect::RelayPeer::message('binding', 'request', undef, @_) }
my @padded = (padding => "\0" x 128);

subtest 'STUN' => sub {
    for my $case ([ 'IPv4', {} ], [ 'IPv6', $as{six} ], [ 'the second port', $as{other} ]) {
        my ($name, $opt) = @$case;
        my $peer = $world->peer(%$opt);
        my ($ip, $to) = map { /:/ ? "[$_]" : $_ } $peer->socket->sockhost, $opt->{to}[0] // '127.0.0.1';
        my $said = $peer->ask(binding());
        is GoConnect::RelayPeer::address($said->{mapped}, $said->{id}), "$ip:" . $peer->socket->sockport,
            "$name: who asked";
        ok !$said->{other}, '... and no more than that to who has said nothing more';
        $said = $peer->ask(binding(@padded));
        is GoConnect::RelayPeer::address($said->{origin}), "$to:" . $peer->socket->peerport, '... where it was asked';
        is GoConnect::RelayPeer::address($said->{other}), "$to:" . ($peer->socket->peerport == $port ? $port + 1 : $port),
            '... and where else it may be';
    }
    my $peer = $world->peer;
    my $open = IO::Socket::IP->new(Proto => 'udp', LocalHost => '127.0.0.1');
    $open->send(binding(@padded, change => pack 'N', 2), 0, $peer->socket->peername);
    my $from = IO::Select->new($open)->can_read(60) && $open->recv(my $text, 2000);
    is +(Socket::unpack_sockaddr_in($from))[0], $port + 1, 'asked for, an answer comes from the other port';
    like $peer->ask(binding(change => (pack 'N', 4), @padded))->{error}, qr/\A\0\0\x04\x14/,
        'from another address it cannot';
    like $peer->ask(binding(0x7777 => 'x', @padded))->{error}, qr/\A\0\0\x04\x14/, 'an attribute that it does not know: 420';
};

my ($ada, $bob, $eve) = map { $world->peer } 1 .. 3;
my $far = $world->peer(network => pack 'x12N', 8);

subtest 'registered' => sub {
    my $request = $ada->registration;
    my $first = $ada->send($request)->receive;
    cmp_ok length $first, '<', length $request, 'the first answer is smaller than the request';
    my $said = GoConnect::RelayPeer::read_message($first);
    is $said->{class}, 'error', 'it is an error';
    like $said->{error}, qr/\A\0\0\x04\x01/, '401';
    for my $peer ($ada, $bob, $eve, $far) {
        $said = $peer->register;
        is $said->{class}, 'success', 'with the nonce it succeeds';
        ok $said->{good}, '... with a MAC';
    }
    is GoConnect::RelayPeer::address($said->{mapped}, $said->{id}), '127.0.0.1:' . $far->socket->sockport, 'where we are';
    is unpack('N', $said->{lifetime}), 75, 'for 75 s';
    is $ada->register(known => 1)->{class}, 'success', 'again, by the name alone';
};

subtest 'a handshake, and data' => sub {
    my $initiation = $ada->initiation($bob, 11);
    $ada->send($initiation);
    is $bob->packet, $initiation, 'the initiation arrives as it was';
    my $response = $bob->response($ada, 22, 11);
    $bob->send($response);
    is $ada->packet, $response, 'so does the response';
    for ([ $ada, 22, $bob ], [ $bob, 11, $ada ]) {
        my ($from, $index, $to) = @$_;
        my $text = $from->data($index, join '', map { chr int rand 256 } 1 .. 1400);
        $from->send($text);
        is $to->packet, $text, 'and data';
    }
    my $six = $world->peer(%{ $as{six} });
    is $six->register->{class}, 'success', 'a peer of IPv6';
    $six->shake_hands($bob, 31, 32);
    $bob->send($bob->data(31, 'to the other family'));
    like $six->packet, qr/to the other family/, 'and one of IPv4 reach each other';
};

subtest 'trains' => sub {
    my @text = map { $ada->data(22, sprintf '%04d' . 'x' x 1196, $_) } 1 .. 40;
    $bob->socket->setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 20);
    $ada->socket->setsockopt($UDP, $UDP_SEGMENT, pack 'i', length $text[0]) or plan skip_all => 'Linux before 4.18';
    $ada->send(join '', @text, $ada->data(22, 'the last one is shorter'));
    my @got = map { $bob->packet } 1 .. 41;
    is_deeply [ @got[0 .. 39] ], \@text, 'arrive whole and in order';
    like $got[40], qr/the last one is shorter/, '... to the last one';
    $ada->socket->setsockopt($UDP, $UDP_SEGMENT, pack 'i', 0);
};

subtest 'who is not let through' => sub {
    my $stranger = $world->peer;
    my $text = $stranger->data(22);
    is_dropped('unregistered', $stranger, $text, 'a stranger');
    my $told = $stranger->receive;
    is length $told, 20, '... who is told, in 20 bytes';
    is GoConnect::RelayPeer::read_message($told)->{class}, 'indication', '... by an indication';
    is_dropped('unregistered', $stranger, $stranger->initiation($bob, 1), 'his initiation');

    is_dropped('unknown_index', $eve, $eve->data(22), 'data by another\'s index');
    is_dropped('unknown_peer', $far, $far->initiation($bob, 5), 'somebody of another network');
    is_dropped('unknown_peer', $eve, $eve->initiation($stranger, 5), 'an initiation for nobody');
    is_dropped('index_taken', $eve, $eve->initiation($bob, 11), 'an index that is another\'s');
    is_dropped('unknown_index', $eve, $eve->response($ada, 9, 11), 'a response that nobody waits for');
    is_dropped('malformed', $ada, $_->[0], $_->[1]) for [ 'x', 'one byte' ], [ "\1\0\0\0" x 8, 'a short initiation' ],
        [ 'x' x 1400, 'junk' ], [ substr(binding(), 0, 19), 'half a message' ];

    is_dropped('mac', $eve, $eve->registration(secret => 'x' x 32), 'a forged MAC');
    is_dropped('replay', $eve, $eve->registration(serial => 1), 'a REGISTER that was used');
    my $thief = $world->peer;
    is_dropped('credential', $thief, $thief->registration(nonce => $thief->register->{nonce},
        credential => $eve->credential ^ ("\0" x 40 . "\1" . "\0" x 111)), 'a forged credential');
    is $bob->packet(0.2), '', 'nothing of all this has reached anybody';
    $ada->send($ada->data(22, 'still'));
    like $bob->packet, qr/still/, 'and what was there goes on';
};

subtest 'held' => sub {
    $ada->register(hold => [ [ 3, $bob ] ]);
    is_dropped('held', $bob, $bob->data(11), 'data of a pair that goes direct');
    $ada->register(hold => [ [ 0, $bob ] ]);
    $bob->send($bob->data(11, 'back'));
    like $ada->packet, qr/back/, 'until it does not any more';
};

# The kernel spreads peers by their addresses over the workers' sockets.
my @pair = map { my @two = map { $world->peer } 1, 2; $_->register for @two; [ $two[0]->shake_hands($two[1], 1, 2), $two[1] ] } 1 .. 12;

sub all_reach {
    my ($name) = @_;
    my @lost = grep { my ($from, $to) = @$_; $from->send($from->data(2, $name)); $to->packet !~ /\Q$name\E/ } @pair;
    return is scalar(@lost), 0, "$name: all reach each other";
}

subtest 'any worker forwards any packet' => sub {
    all_reach('at the beginning');
    my ($from, $to) = @{ $pair[0] };
    my $sent = 0;
    my $child = fork // die "fork: $!";
    if (!$child) {
        $s->reload for 1 .. 3;
        POSIX::_exit(0);
    }
    while (waitpid($child, POSIX::WNOHANG()) == 0) {
        $from->send($from->data(2, sprintf 'n%06d', ++$sent));
        $to->packet =~ /n(\d+)/ && $1 == $sent or die "number $sent is lost";
    }
    cmp_ok $sent, '>', 100, "none of $sent packets, one after the other, is lost over three reloads";
    $s->remember;
    all_reach('afterwards');
    $s->kill_worker for 1, 2;
    all_reach('when the workers were killed');
    $s->kill_all;
    $s->restart;
    all_reach('when all of nginx was killed');
    $s->halt;
    $s->restart;
    all_reach('after a restart');
};

subtest 'what the directive does not take' => sub {
    for my $case (
        [ 'x', qr/"x" is no UUID/ ],
        [ "$RELAY peers=0", qr/expected 1 to/ ],
        [ "$RELAY listen=256.1.1.1", qr/listen=256\.1\.1\.1" is no address/ ],
        [ "$RELAY listen=127.0.0.1:65535", qr/the port after it is used too/ ],
        [ "$RELAY pears=5", qr/unknown parameter "pears=5"; expected listen=/ ],
        [ "$RELAY key=/nowhere", qr{cannot open "/nowhere"} ],
    ) {
        my ($text, $want) = @$case;
        $s->write_config(http => "goconnect_relay $text;");
        my ($status, $said) = $s->config_test;
        ok $status && $said =~ $want, $text or diag $said;
    }
};

$s->stop;
done_testing;
