package GoConnect::LanMode;

# Stand-ins for what people play and use on a LAN, run on two devices of a
# network: a game that looks for servers by UDP broadcast, one that does so by
# multicast, and frames of a protocol that is not IP.
#
#   my $found = GoConnect::LanMode::game($from, $to, $interface, 'broadcast');
#   my @heard = GoConnect::LanMode::frames($from, $to, $interface, @frames);
#
# Nothing here sleeps: what shall not arrive is followed by something that
# does, on the same way.

use strict;
use warnings;
use Cwd qw(abs_path);
use Time::HiRes qw(time);

my $SELF = abs_path(__FILE__);

# IEEE 802: 0x88b5 and 0x88b6 are for experiments on one's own LAN.
our $TYPE = '88b5';
our $LAST = '88b6';

# What runs one of this file's subs on a host: serve, look, hear, send.
sub command {
    my ($sub, @arguments) = @_;
    return ($^X, $SELF, $sub, @arguments);
}

sub _ready {
    my ($device, $log) = @_;
    return defined $device->await(sub { $device->host->log($log) =~ /^ready$/m }, 60);
}

my $runs = 0;

# Looks for the game on $to from $from: the kind of the first answer,
# 'broadcast', 'multicast' or (found only by address) 'unicast'; '' for none.
sub game {
    my ($from, $to, $interface, $kind, %opt) = @_;
    my $log = 'game' . ++$runs;
    my $pid = $to->host->start($log, command('serve', $to->network($opt{network})->{ip_address}));
    _ready($to, $log) or die 'the game does not start: ' . $to->host->log($log);
    my ($status, $said) = $from->host->run({ timeout => 120 }, command('look', $kind,
        $from->network($opt{network})->{ip_address}, $to->network($opt{network})->{ip_address},
        broadcast($from->network($opt{network})->{cidr}), $opt{tries} // 1));
    $to->host->stop($pid);
    return $said =~ /^found by (\w+)$/m ? $1 : '';
}

# The last address of 10.1.2.0/24 and its like.
sub broadcast {
    my ($cidr) = @_;
    my ($address, $length) = split m{/}, $cidr;
    my $all = unpack('N', pack('C4', split /\./, $address)) | (2**(32 - $length) - 1);
    return join '.', unpack 'C4', pack 'N', $all;
}

# Sends frames (hex) from one to the other's interface: those that arrive, in
# order, before one that must. undef if that does not either.
sub frames {
    my ($from, $to, $interface, @frames) = @_;
    my $log = 'frames' . ++$runs;
    my $pid = $to->host->start($log, command('hear', $interface));
    _ready($to, $log) or die 'nobody listens: ' . $to->host->log($log);
    my $mark = sprintf '%s%s%04x', mac($to, $interface), mac($from, $interface), hex $LAST;
    $from->host->must(command('send', $interface, @frames, $mark . '6c617374'));
    my $ended = $to->await(sub { $to->host->log($log) =~ /^last$/m }, 60);
    my @heard = $to->host->log($log) =~ /^heard (\w+)$/mg;
    $to->host->stop($pid);
    return defined $ended ? \@heard : undef;
}

# An interface's hardware address in hex.
sub mac {
    my ($device, $interface) = @_;
    my ($mac) = $device->host->must('ip', '-br', 'link', 'show', 'dev', $interface)
        =~ /\b((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\b/;
    return $mac =~ s/://gr;
}

# ------------------------------------------------------------ on the host

my $PORT = 27015;
my $GROUP = '239.255.77.77';

# The game's server: answers everybody who asks, and says how it was asked.
sub serve {
    my ($own) = @_;
    require Socket;
    socket(my $s, Socket::PF_INET(), Socket::SOCK_DGRAM(), 0) or die "socket: $!";
    setsockopt $s, Socket::SOL_SOCKET(), Socket::SO_BROADCAST(), pack 'l', 1;
    bind $s, Socket::pack_sockaddr_in($PORT, Socket::INADDR_ANY()) or die "bind: $!";

    # not every interface can do multicast: the test is whether it arrives
    setsockopt $s, Socket::IPPROTO_IP(), Socket::IP_ADD_MEMBERSHIP(),
        Socket::pack_ip_mreq(Socket::inet_aton($GROUP), Socket::inet_aton($own));
    print "ready\n";
    while (defined(my $who = recv $s, my $asked, 1500, 0)) {
        send $s, $asked, 0, $who;
    }
    return;
}

# A player who looks for it. A unicast question follows the others: when its
# answer is there and theirs is not, they have not arrived.
sub look {
    my ($kind, $own, $peer, $broadcast, $tries) = @_;
    require Socket;
    require IO::Select;
    socket(my $s, Socket::PF_INET(), Socket::SOCK_DGRAM(), 0) or die "socket: $!";
    setsockopt $s, Socket::SOL_SOCKET(), Socket::SO_BROADCAST(), pack 'l', 1;
    setsockopt $s, Socket::IPPROTO_IP(), Socket::IP_MULTICAST_IF(), Socket::inet_aton($own);
    bind $s, Socket::pack_sockaddr_in(0, Socket::inet_aton($own)) or die "bind: $!";
    my $to = { broadcast => $broadcast, multicast => $GROUP }->{$kind};
    my $answers = IO::Select->new($s);
    my ($unicast, $end) = (0, time + 60);
    while (time < $end && $unicast < $tries) {
        send $s, $kind, 0, Socket::pack_sockaddr_in($PORT, Socket::inet_aton($to));
        send $s, 'unicast', 0, Socket::pack_sockaddr_in($PORT, Socket::inet_aton($peer));
        while ($answers->can_read(1)) {
            recv $s, my $said, 1500, 0;
            if ($said eq $kind) {
                print "found by $kind\n";
                return;
            }
            $unicast++;
            last;
        }
    }
    print "found by unicast\n" if $unicast;
    return;
}

# Every frame of the experiments' types, and IP ones with the mark "GC", until
# the last one.
sub hear {
    my ($interface) = @_;
    my $s = _packet($interface);
    print "ready\n";
    while (defined recv $s, my $frame, 2000, 0) {
        my $type = unpack 'x12 H4', $frame;
        print "heard ", unpack('H*', $frame), "\n" if $type eq $TYPE || $frame =~ /GC-FRAME/;
        print "last\n" if $type eq $LAST;
    }
    return;
}

sub send_frames {
    my ($interface, @frames) = @_;
    my $s = _packet($interface);
    for my $frame (@frames) {
        my $sent = defined send $s, pack('H*', $frame), 0;
        die "send: $!" if !$sent && !$!{ENOBUFS};    # so says a filter
    }
    return;
}

# PF_PACKET, SOCK_RAW, ETH_P_ALL on one interface.
sub _packet {
    my ($interface) = @_;
    socket(my $s, 17, 3, unpack 'S', pack 'n', 3) or die "socket: $!";
    my $index = _index($s, $interface);
    bind $s, pack 'S n i S C C a8', 17, 3, $index, 0, 0, 0, '' or die "bind: $!";
    return $s;
}

# SIOCGIFINDEX: /sys may be that of another namespace.
sub _index {
    my ($s, $interface) = @_;
    my $request = pack 'a16 x24', $interface;
    ioctl $s, 0x8933, $request or die "$interface: $!";
    return unpack 'x16 i', $request;
}

if (!caller) {
    $| = 1;
    my ($sub, @arguments) = @ARGV;
    my $do = { serve => \&serve, look => \&look, hear => \&hear, send => \&send_frames }->{$sub}
        // die "no $sub";
    $do->(@arguments);
}

1;
