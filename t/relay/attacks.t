# What strangers and members send who mean ill: it is counted, nobody is sent
# more than came from there, memory stays as it was, and those who are let
# through do not notice. FULL=1 sends as much as a quarter of an hour allows.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Bench qw(memory);
use GoConnect::RelayPeer;
use GoConnect::Server;
use MIME::Base64 qw(decode_base64);
use Socket qw(AF_INET SOCK_DGRAM inet_aton pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(sleep time);

my $RELAY = '7d0f5c2e-0000-4000-8000-00000000e55f';
my ($FUZZ, $SOURCES) = $ENV{GOCONNECT_FULL} ? (300_000, 1_000_000) : (10_000, 20_000);

my $keys = GoConnect::Server::make_keys();
my ($master) = map { decode_base64($_) } $keys =~ /^relay \S+ (\S+)$/m;
my $port;
for (1 .. 100) {
    $port = 20000 + int rand 12000;
    last if 2 == grep { IO::Socket::IP->new(Proto => 'udp', LocalHost => '127.0.0.1', LocalPort => $_) } $port, $port + 1;
}
my $s = GoConnect::Server->start(workers => 2, keys => $keys,
    http => "goconnect_relay $RELAY listen=127.0.0.1:$port peers=1000 state=relay.state;");
my $world = GoConnect::RelayPeer::World->new(relay => $RELAY, master => $master, to => [ '127.0.0.1', $port ]);

sub counted {
    my ($result) = @_;
    return $s->ua->get($s->url . '/counters')->res->body =~ /^goconnect_relay_packets_total\{result="$result"\} (\d+)/m
        ? $1 : die "no counter for $result";
}

sub all { return map { counted($_) } qw(forwarded answered malformed unregistered unknown_index mac) }

# Waits until the relay has worked on all that is in its sockets.
sub settled {
    my ($last, $now) = ('', join ' ', all());
    my $end = time + 60;
    while ($last ne $now && time < $end) {
        sleep 0.05;
        ($last, $now) = ($now, join ' ', all());
    }
    return;
}

my ($ada, $bob, $eve) = map { $world->peer } 1 .. 3;
$_->register for $ada, $bob, $eve;
$ada->shake_hands($bob, 1, 2);
my ($said, $registered) = (0, time);

# Registers again, whatever else comes there meanwhile.
sub again {
    my ($peer, %opt) = @_;
    1 while length $peer->receive(0);
    for (1 .. 60) {
        $peer->send($peer->registration(known => 1, %opt));
        my $end = time + 1;
        while (time < $end) {
            my $answer = GoConnect::RelayPeer::read_message($peer->receive(1)) // next;
            next if ($answer->{class} // '') ne 'success';
            $peer->{nonce} = $answer->{nonce};
            return;
        }
    }
    die "the relay does not answer\n";
}

# They go on talking: one that was lost in the crowd is sent again.
sub goes_on {
    if (time > $registered + 20) {
        again($ada, hint => [ [ 2, $bob ] ]);    # or its session ends with the handshake's time
        again($bob);
        $registered = time;
    }
    for (1 .. 100) {
        my $word = sprintf 'word%07d', ++$said;
        $ada->send($ada->data(2, $word));
        my $end = time + 0.5;
        while (time < $end) {
            my $text = $bob->packet(0.5);
            return 1 if $text =~ /\Q$word\E/;
        }
    }
    return 0;
}

subtest 'nobody is sent more than came from there' => sub {
    my $before = counted('answered');
    my $nobody = $world->peer;
    for my $case (
        [ 'REGISTER', $nobody->registration ],
        [ 'REGISTER by name', $nobody->registration(known => 1) ],
        [ 'REGISTER with a nonce of another', $nobody->registration(nonce => 'n' x 16) ],
        [ 'data', $nobody->data(2) ],
        [ 'an initiation', $nobody->initiation($bob, 9) ],
        [ 'padded Binding', GoConnect::RelayPeer::message('binding', 'request', undef, padding => "\0" x 40) ],
        [ 'unknown attributes', GoConnect::RelayPeer::message('binding', 'request', undef, map { $_ => 'x' } 0x7001 .. 0x7010) ],
    ) {
        my ($name, $text) = @$case;
        my $answer = $nobody->send($text)->receive;
        ok length $answer && length $answer <= length $text, "$name: " . length($answer) . ' bytes for ' . length $text;
    }
    my $bare = GoConnect::RelayPeer::message('binding', 'request', undef);
    is length $nobody->send($bare)->receive, length($bare) + 12, 'Binding itself: the one attribute more';
    cmp_ok counted('answered'), '>', $before, 'and they are counted';
};

subtest 'one who knocks and knocks' => sub {
    my $stranger = $world->peer;
    my $began = time;
    $stranger->send($stranger->data($_)) for 1 .. 300;
    settled();
    my $told = 0;
    $told++ while length $stranger->receive(0.2);
    cmp_ok $told, '<=', 6 + time - $began, "is told $told times of 300 that nobody knows him";
    ok goes_on(), 'and others go on';
};

subtest 'a flood of initiations' => sub {
    my ($rate, $forwarded, $began) = (counted('pair_rate'), counted('forwarded'), time);
    $eve->send($eve->initiation($bob, 1000 + $_)) for 1 .. 300;
    settled();
    my ($through, $dropped) = (counted('forwarded') - $forwarded, counted('pair_rate') - $rate);
    cmp_ok $through, '<=', 6 + time - $began, "$through of 300 reach whom they are for";
    cmp_ok $dropped, '>=', 200, "$dropped are counted as too many";
    ok goes_on(), 'and others go on';
};

# A packet of any kind, whole, cut off, or with some bits of it another.
sub mutant {
    my @kind = (sub { $eve->registration }, sub { $eve->registration(known => 1, hint => [ [ 5, $bob ] ], hold => [ [ 9, $bob ] ]) },
        sub { GoConnect::RelayPeer::message('binding', 'request', undef, change => pack('N', rand 8), padding => 'x' x rand 200) },
        sub { $eve->initiation($bob, rand 2**32) }, sub { $eve->response($ada, rand 2**32, rand 5) }, sub { $eve->data(rand 5, 'x' x rand 90) },
        sub { join '', map { chr int rand 256 } 1 .. rand 300 });
    my $text = $kind[ rand @kind ]->();
    return $text if !length $text;
    $text = substr $text, 0, rand length $text if rand() < 0.2;
    for (1 .. rand 6) {
        last if !length $text;
        vec($text, rand length $text, 8) ^= 1 << int rand 8;
    }
    return $text;
}

subtest "$FUZZ packets of chance" => sub {
    my $seed = srand($ENV{SEED} // int rand 2**31);
    my $stranger = $world->peer;
    my $mate = $ada->socket->sockport;
    my $broken = 0;
    for my $n (1 .. $FUZZ) {
        ($n % 3 ? $eve : $stranger)->send(mutant());
        $broken++ if $n % 1000 == 0 && !goes_on();
    }
    is $broken, 0, 'those who have a session go on all the time' or diag "seed $seed";
    settled();
    is $ada->socket->sockport, $mate, 'from where they were';
    ok eval { again($eve); 1 }, 'and who has sent them may come back' or diag $@;
};

subtest "$SOURCES addresses that nobody knows" => sub {
    my @pid = keys %{ $s->worker_pids };
    goes_on();
    my ($size, $before) = (-s $s->dir . '/relay.state', memory(@pid)->{Private_Dirty});
    my $to = pack_sockaddr_in($port, inet_aton('127.0.0.1'));
    my $text = $ada->data(2);
    my ($dropped, $broken) = (counted('unregistered'), 0);
    for my $n (1 .. $SOURCES) {
        socket(my $from, AF_INET, SOCK_DGRAM, 0) or die "socket: $!";
        bind $from, pack_sockaddr_in(0, pack 'CCCC', 127, 1 + ($n >> 16 & 127), $n >> 8 & 255, $n & 255) or die "bind: $!";
        send $from, $text, 0, $to;
        $broken++ if $n % 5000 == 0 && !goes_on();
    }
    settled();
    is $broken, 0, 'others go on';
    cmp_ok counted('unregistered') - $dropped, '>=', $SOURCES / 10, 'they are counted';
    is -s $s->dir . '/relay.state', $size, 'the table is as large as before';
    cmp_ok memory(@pid)->{Private_Dirty}, '<', $before + (1 << 20), 'and so are the workers'
        if !$GoConnect::Server::SAN;    # which keeps what was freed
};

$s->stop;
done_testing;
