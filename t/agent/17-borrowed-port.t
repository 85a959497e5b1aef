# WireGuard's UDP port, borrowed: wireguard-go listens on it, and beside it a
# raw socket sends from it and hears STUN and handshakes, over IPv4 and IPv6.

use strict;
use warnings;
use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Lab;
use IO::Select;
use IO::Socket::IP;
use IPC::Open2 qw(open2);
use Socket qw(SOCK_DGRAM);
use Test::More;

my $root = abs_path("$FindBin::Bin/../..");
my $driver = ($ENV{GOCONNECT_BUILD} // "$root/build") . '/drivers/borrowed';
my $PORT = 51820;
my $MARK = 0x6763;

my $lab = GoConnect::Lab->new;
$lab->enter;
my $a = $lab->host('a');
my $b = $lab->host('b');
my %here = (4 => $GoConnect::Lab::SERVER, 6 => '2001:db8:1::1');
my %there = (4 => $a->address, 6 => '2001:db8:1::10');

# --------------------------------------------------------------- the two ends

# The driver on a host: what it said last, by line, each waited for.
my ($out, $in, $pid);
my $held = '';

sub start {
    my (@before) = @_;
    $held = '';
    $pid = open2($out, $in, $a->prefix, @before, $driver, $MARK);
    return said();
}

sub stop {
    close $in;
    waitpid $pid, 0;
    return $? >> 8;
}

sub said {
    my $until = time + 30;
    while ($held !~ /\n/) {
        IO::Select->new($out)->can_read(1) or time < $until ? next : die "the driver is silent\n";
        sysread $out, $held, 65536, length $held or return undef;
    }
    $held =~ s/^(.*)\n//;
    return $1;
}

sub command { syswrite $in, "@_\n"; return said() }

# A socket in the middle, and what comes to it.
sub udp {
    my ($family) = @_;
    return IO::Socket::IP->new(LocalHost => $here{$family}, LocalPort => 0, Type => SOCK_DGRAM,
        Proto => 'udp') || die "no socket: $@";
}

sub to { my ($socket, $family, $data, $port) = @_;
    my ($error, $address) = Socket::getaddrinfo($there{$family}, $port // $PORT,
        { socktype => SOCK_DGRAM, flags => Socket::AI_NUMERICHOST() });
    die $error if $error;
    $socket->send($data, 0, $address->{addr}) // die "send: $!";
}

sub got {
    my ($socket) = @_;
    IO::Select->new($socket)->can_read(30) or die "nothing came\n";
    my $from = $socket->recv(my $data, 65536);
    my ($error, $host, $port) = Socket::getnameinfo($from,
        Socket::NI_NUMERICHOST() | Socket::NI_NUMERICSERV());
    return ($data, "$host $port");
}

sub name {
    my ($family, $host, $port) = @_;
    return $family == 6 ? "[$host]:$port" : "$host:$port";
}

# A STUN request that says how it is called.
sub stun {
    my ($text) = @_;
    $text .= ' ' x (-length($text) % 4);
    return pack('nnN a12', 1, 4 + length $text, 0x2112a442, 'transaction!')
        . pack('nn', 0x8022, length $text) . $text;
}

sub rows { my ($data) = @_; return unpack 'H*', $data }

# --------------------------------------------------------------------- set up

my %key;
for my $host ($a, $b) {
    my $name = $host->name;
    chomp($key{$name} = $host->must('wg', 'genkey'));
    chomp($key{"$name public"} = $host->must({ input => $key{$name} }, 'wg', 'pubkey'));
    $host->start('wireguard', 'wireguard-go', '-f', 'wg0');
    $host->must({ timeout => 60 }, 'sh', '-c',
        'until wg show wg0 >/dev/null 2>&1; do sleep 0.05; done');
    my $key = $lab->dir . "/$name.key";
    open my $fh, '>', $key or die $!;
    print $fh $key{$name};
    close $fh;
    $host->must('wg', 'set', 'wg0', 'listen-port', $PORT, 'private-key', $key);
    $host->must('sh', '-c', 'ip address add 10.9.0.' . ($name eq 'a' ? 1 : 2)
        . '/24 dev wg0 && ip link set wg0 up');
}

# what leaves with the mark
$a->must('nft', <<'NFT');
table inet filter {
    counter marked { }
    chain output { type filter hook output priority 0; meta mark 0x6763 counter name marked; }
}
NFT

is start(), 'ready', 'beside wireguard-go, which has the port';
is command("listen 40000 $PORT"), 'listening', 'it hears two ports';

# ---------------------------------------------------------------------- tests

for my $family (4, 6) {
    subtest "IPv$family" => sub {
        my $socket = udp($family);
        my $me = name($family, $here{$family}, $socket->sockport);

        # nothing of these is heard, so that what is comes at once
        to($socket, $family, stun('another port'), 40001);
        to($socket, $family, '');
        to($socket, $family, 'x');
        to($socket, $family, 'a' x 1400);
        to($socket, $family, pack 'C N4', 4, 0, 0, 0x2112a442, 0);
        to($socket, $family, pack('N3', 0x40010000, 0x2112a442, 0) . 'x' x 12);
        to($socket, $family, pack('N3', 0x00010001, 0x2112a442, 0) . 'x' x 12);
        to($socket, $family, pack('V', 1) . 'x' x 143);
        to($socket, $family, pack('V', 2) . 'x' x 87);
        to($socket, $family, pack('V', 3) . 'x' x 60);
        to($socket, $family, substr stun('cut off'), 0, 22);
        to($socket, $family, stun('first'));
        is said(), "stun $me $there{$family} $PORT " . rows(stun('first')), 'STUN, and nothing before it';
        to($socket, $family, stun('second'), 40000);
        is said(), "stun $me $there{$family} 40000 " . rows(stun('second')), 'on the other port too';
        my $handshake = pack('V', 1) . 'i' x 144;
        to($socket, $family, $handshake);
        is said(), "initiation $me $there{$family} $PORT " . rows($handshake), 'a handshake begins';
        $handshake = pack('V', 2) . 'r' x 88;
        to($socket, $family, $handshake);
        is said(), "response $me $there{$family} $PORT " . rows($handshake), 'and is answered';

        for my $data ('odd', 'even', "\xff" x 1400, '') {
            is command('send', $PORT, $me, '-', 0, rows($data) || '-'), 'sent', length($data) . ' bytes';
            is join(' ', got($socket)), "$data $there{$family} $PORT", 'arrive, from WireGuard\'s port';
        }
        like command('send', $PORT, $me, '-', 0, '00' x 1401), qr/^error Message too long/, 'too much';

        # the first router takes away the last hop
        my $far = name($family, $family == 4 ? $b->address : '2001:db8:2::10', $PORT);
        $b->must('nft', "add table inet t$family; add counter inet t$family low; add counter inet t$family high; "
            . "add chain inet t$family in { type filter hook input priority -10; }; "
            . "add rule inet t$family in udp length 16 counter name low; "
            . "add rule inet t$family in udp length 20 counter name high");
        is command('send', $PORT, $far, '-', 1, rows('one hop!')), 'sent', 'one hop';
        is command('send', $PORT, $far, '-', 2, rows('and two hops')), 'sent', 'two hops';
        for (1 .. 3000) {
            last if $b->must('nft', 'list', 'counter', 'inet', "t$family", 'high') =~ /packets 1\b/;
            select undef, undef, undef, 0.01;
        }
        like $b->must('nft', 'list', 'counter', 'inet', "t$family", 'high'), qr/packets 1\b/, 'two are enough';
        like $b->must('nft', 'list', 'counter', 'inet', "t$family", 'low'), qr/packets 0\b/, 'one is not';

        # one of several addresses
        my $second = $family == 4 ? '198.51.1.77' : '2001:db8:1::77';
        $a->must('ip', 'address', 'add', $family == 4 ? "$second/24" : "$second/64", 'dev', 'eth0',
            $family == 4 ? () : 'nodad');
        is command('send', $PORT, $me, $second, 0, rows('second')), 'sent', 'from a second address';
        is join(' ', got($socket)), "second $second $PORT", 'it comes from there';
        $a->must('ip', 'address', 'del', $family == 4 ? "$second/24" : "$second/64", 'dev', 'eth0');
        like command('send', $PORT, $me, $second, 0, rows('gone')), qr/^error \S/, 'not from one that is gone';
        like command('send', $PORT, $me, $family == 4 ? '::1' : '127.0.0.1', 0, rows('other')),
            qr/^error Address family/, 'nor from one of the other family';
    };
}

subtest 'a firewall with a memory' => sub {
    $a->must('nft', <<'NFT');
table inet guard {
    chain input { type filter hook input priority 10; policy drop;
        ct state established accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }
}
NFT
    for my $family (4, 6) {
        my ($known, $stranger) = (udp($family), udp($family));
        my $me = name($family, $here{$family}, $known->sockport);
        is command('send', $PORT, $me, '-', 0, rows(stun('ask'))), 'sent', "IPv$family: asked";
        is((got($known))[0], stun('ask'), 'arrives');
        to($stranger, $family, stun('stranger'));
        to($known, $family, stun('answer'));
        is said(), "stun $me $there{$family} $PORT " . rows(stun('answer')),
            'the answer is let in, a stranger is not';
    }
    $a->must('nft', 'delete table inet guard');
};

subtest 'the mark of WireGuard\'s own packets' => sub {
    my $marked = sub { $a->must('nft', 'list counter inet filter marked') =~ /packets (\d+)/ ? $1 : -1 };
    my $before = $marked->();
    cmp_ok $before, '>', 10, 'all that was sent had it';
    my $socket = udp(4);
    command('send', $PORT, name(4, $here{4}, $socket->sockport), '-', 0, rows('marked'));
    is $marked->(), $before + 1, 'one more has';
    is((got($socket))[0], 'marked', 'and arrives');

    # the address to send from is the one of the way that the mark leads to
    $a->must('sh', '-c', 'ip address add 198.51.1.99/24 dev eth0 && ip rule add fwmark 0x6763 lookup 99 && '
        . 'ip route add default via 198.51.1.1 src 198.51.1.99 table 99');
    command('send', $PORT, name(4, $here{4}, $socket->sockport), '-', 0, rows('by rule'));
    is join(' ', got($socket)), "by rule 198.51.1.99 $PORT", 'it decides the way';
    $a->must('sh', '-c', 'ip rule del fwmark 0x6763 && ip address del 198.51.1.99/24 dev eth0');
};

subtest 'a train of datagrams in one' => sub {
    my $socket = udp(4);
    my $me = name(4, $here{4}, $socket->sockport);
    my @stun = map { stun("car $_") } 1 .. 5;
    my $size = length $stun[0];
    ok setsockopt($socket, 17, 103, pack 'i', $size), 'UDP_SEGMENT' or return;
    to($socket, 4, join '', @stun);
    is said(), "stun $me $there{4} $PORT " . rows($_), 'one after the other' for @stun;
};

subtest 'WireGuard goes on' => sub {
    $a->must('wg', 'set', 'wg0', 'peer', $key{'b public'}, 'allowed-ips', '10.9.0.2/32');
    $b->must('wg', 'set', 'wg0', 'peer', $key{'a public'}, 'allowed-ips', '10.9.0.1/32', 'endpoint',
        $a->address . ":$PORT");
    cmp_ok $b->reaches('10.9.0.1', 60) // 0, '>', 0, 'a session through the port that we borrow';
    my ($kind, $from, $to, $port, $data) = split ' ', said();
    is "$kind $from $to $port", 'initiation ' . $b->address . ":$PORT " . $a->address . " $PORT",
        'we have heard how it began';
    is length $data, 2 * 148, 'whole';
};

subtest 'limits' => sub {
    like command('listen', 1 .. 101), qr/^error .*at most 100/, 'more ports than there can be networks';
    is command('listen'), 'listening', 'no port at all';
    my $socket = udp(4);
    to($socket, 4, stun('unheard'));
    is command('listen', 40000, 2 .. 100), 'listening', 'as many as there can be';
    to($socket, 4, stun('heard'), 40000);
    like said(), qr/ 40000 \Q${\rows(stun('heard'))}\E$/, 'what came when there was none is not heard';
    is stop(), 0, 'ends';

    like start('setpriv', '--bounding-set', '-net_raw', '--'), qr/^error 5 .*CAP_NET_RAW/,
        'without the right to it, it says which';
    is stop(), 1, 'and ends';
};

$lab->destroy;
done_testing;
