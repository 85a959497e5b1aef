package GoConnect::Scenario::Kernel;

# What the kernel alone shows: the interface that is there while no daemon is,
# and LAN mode by VXLAN over it.

use strict;
use warnings;
use GoConnect::LanMode;
use GoConnect::Scenario;
use Test::More;

# wg(8)'s dump without what counts up, and what is on the interface.
sub dump_of {
    my ($d) = @_;
    my $text = $d->host->must(qw(wg show all dump));
    $text =~ s/\t\d+\t\d+\t\d+\t(\w+)$/\t$1/mg;
    return $text . $d->host->must(qw(ip route show proto 201))
        . $d->host->must('ip', '-br', 'address', 'show', 'dev', ($d->interfaces)[0]);
}

# Kills ada's daemon and compares before and after what $look tells of her.
sub comes_back {
    my ($ada, $bob, $look) = @_;
    my $before = $look->($ada);
    $ada->kill_daemon;
    ok defined $ada->host->reaches($bob->address, 60), 'the network stays meanwhile';
    $ada->start_daemon;
    ok defined $ada->await(sub { ($ada->network->{state} // '') eq 'up' }, 60), 'it is back';
    is $look->($ada), $before, 'and found everything as it should be';
    return;
}

sub killed {
    my ($w, $ada, $bob) = @_;
    my $network = $w->network('lan');
    $w->gather($network, $ada, $bob);
    like $ada->host->must(qw(ip -d link show), ($ada->interfaces)[0]), qr/\bwireguard\b/,
        'the interface is one of WireGuard';
    comes_back($ada, $bob, \&dump_of);
    $ada->json('down');
    is_deeply [ $ada->interfaces ], [], 'down: no interface';
    unlike $ada->host->must('ip', 'route'), qr/gc-|proto 201/, 'no route';
    $ada->json('up');
    return $network;
}

my $LAN = 'gv-games';

sub entries {
    my ($d) = @_;
    return join '', sort grep { /\bdst\b|PERMANENT/ } split /^/,
        $d->host->must(qw(bridge fdb show dev), $LAN) . $d->host->must(qw(ip neigh show dev), $LAN);
}

sub lan {
    my ($w, $ada, $bob) = @_;
    my $network = $w->network('games', mode => 'l2');
    $w->join_by($_, $w->invite($network), $network->{name}) for $ada, $bob;
    for my $d ($ada, $bob) {
        ok defined $d->await(sub { my @line = split /\n/, entries($d); @line == 4 }, 120),
            $d->name . ' knows where the other one is';
        like $d->host->must(qw(ip -d link show dev), $LAN), qr/vxlan id \d+ .*dev gc-games/,
            'by a LAN on WireGuard';
    }
    ok defined $ada->host->reaches($bob->address, 60), 'ada reaches bob';
    is GoConnect::LanMode::game($ada, $bob, $LAN, 'broadcast', tries => 20), 'broadcast',
        'a game is found by broadcast';
    is GoConnect::LanMode::game($bob, $ada, $LAN, 'multicast', tries => 20), 'multicast',
        'and by multicast';
    subtest 'frames' => sub { frames($ada, $bob) };
    subtest 'the daemon is killed and comes back' => sub {
        comes_back($ada, $bob, sub { entries($_[0]) . $_[0]->host->must(qw(ip -o link show dev), $LAN) });
    };
    subtest 'one goes down' => sub {
        $ada->json('down');
        unlike $ada->host->must(qw(ip -br link)), qr/^g[cv]-/m, 'no interface';
        unlike +($ada->host->run(qw(nft list ruleset)))[1], qr/goconnect_lan/, 'no filter';
        $ada->json('up');
    };
    return $network;
}

sub frames {
    my ($ada, $bob) = @_;
    my ($to, $from) = map { GoConnect::LanMode::mac($_, $LAN) } $bob, $ada;
    my $frame = "ffffffffffff$from${GoConnect::LanMode::TYPE}0102";
    is_deeply GoConnect::LanMode::frames($ada, $bob, $LAN, $frame), [$frame],
        'those that are not IP cross';
    my $mark = unpack 'H*', 'GC-FRAME';
    is_deeply GoConnect::LanMode::frames($ada, $bob, $LAN, "0180c200000e${from}88cc$mark",
        "ffffffffffff${from}08004500002800000000401100000a0000010a000002004300440014000000$mark",
        "${to}020000000001${GoConnect::LanMode::TYPE}$mark"), [], 'LLDP, DHCP and strange sources do not';
    return;
}

1;
