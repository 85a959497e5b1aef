#!/usr/bin/perl
# LAN mode in the virtual machine: VXLAN over the kernel's WireGuard, with
# Debian's kernel and nftables.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my ($root, $self);
BEGIN {
    $self = abs_path(__FILE__);
    $root = abs_path(dirname(__FILE__) . '/../..');
}
use lib "$root/t/lib";
use GoConnect::Lab;
use GoConnect::VM;
use Test::More;

# The database's template is made out here, where it takes seconds.
GoConnect::VM::enter($self, seconds => 1500, memory => 2048, before => sub {
    require GoConnect::Cluster;
    GoConnect::Cluster->start->destroy;
});

require GoConnect::Device;
require GoConnect::LanMode;
require GoConnect::Server;

# What people do when a server is too slow to answer in time: again. The number
# of the attempt makes names that no earlier one has taken.
sub patiently {
    my ($do) = @_;
    for my $n (1 .. 6) {
        my $result = eval { $do->($n) };
        return $result if defined $result;
        diag "attempt $n: ", (split /\n/, $@)[0];
    }
    die "it never worked: $@";
}

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 2, address => $GoConnect::Lab::SERVER,
    # an emulated machine is ten times slower than the deadlines are made for
    allow => qr/no answer in time|statement timeout|presence failed|the database is (?:away|back)/);
my $owner = patiently(sub { $s->register("owner$_[0]") });
my @as = (token => $owner->{token});
my $tenant = patiently(sub { $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as) });
my $network = patiently(sub { $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => "Lan $_[0]", slug => 'games', join_policy => 'invite', mode => 'l2' }, @as) });
my $invite = patiently(sub { $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as) });

my ($ada, $bob) = map { GoConnect::Device->new($lab, $_) } qw(ada bob);
my $lan = 'gv-games';
for my $d ($ada, $bob) {
    patiently(sub { $d->register($s->url, $d->name . $_[0]) });
    patiently(sub {
        return 1 if eval { $d->join($invite->{url}) };
        my $why = $@;
        return $d->address ? 1 : die $why;
    });
    ok defined $d->await(sub { ($d->network // {})->{state} eq 'up' }, 120), $d->name . ' joined';
    is $d->json('status')->{backend}, 'kernel', 'by the kernel';
    like $d->host->must(qw(ip -d link show dev), $lan), qr/vxlan id \d+ .*dev gc-games/, 'with a LAN on it';
}

sub entries {
    my ($d) = @_;
    return join '', sort grep { /\bdst\b|PERMANENT/ } split /^/,
        $d->host->must(qw(bridge fdb show dev), $lan) . $d->host->must(qw(ip neigh show dev), $lan);
}

for my $d ($ada, $bob) {
    ok defined $d->await(sub { my @line = split /\n/, entries($d); @line == 4 }, 120),
        $d->name . ' knows where the other one is';
}
ok defined $ada->host->reaches($bob->address, 60), 'ada reaches bob';
is GoConnect::LanMode::game($ada, $bob, $lan, 'broadcast', tries => 20), 'broadcast',
    'a game is found by broadcast';
is GoConnect::LanMode::game($bob, $ada, $lan, 'multicast', tries => 20), 'multicast', 'and by multicast';

my ($to, $from) = map { GoConnect::LanMode::mac($_, $lan) } $bob, $ada;
my $frame = "ffffffffffff$from${GoConnect::LanMode::TYPE}0102";
is_deeply GoConnect::LanMode::frames($ada, $bob, $lan, $frame), [$frame], 'frames that are not IP cross';
my $mark = unpack 'H*', 'GC-FRAME';
is_deeply GoConnect::LanMode::frames($ada, $bob, $lan, "0180c200000e${from}88cc$mark",
    "ffffffffffff${from}08004500002800000000401100000a0000010a000002004300440014000000$mark",
    "${to}020000000001${GoConnect::LanMode::TYPE}$mark"), [], 'LLDP, DHCP and strange sources do not';

subtest 'the daemon is killed and comes back' => sub {
    my $before = entries($ada) . $ada->host->must(qw(ip -o link show dev), $lan);
    $ada->kill_daemon;
    ok defined $ada->host->reaches($bob->address, 20), 'the LAN stays meanwhile';
    $ada->start_daemon;
    ok defined $ada->await(sub { ($ada->network->{state} // '') eq 'up' }, 60), 'it is back';
    is entries($ada) . $ada->host->must(qw(ip -o link show dev), $lan), $before,
        'and found everything as it should be';
};

subtest 'one goes down' => sub {
    $ada->json('down');
    unlike $ada->host->must(qw(ip -br link)), qr/^g[cv]-/m, 'no interface';
    unlike +($ada->host->run(qw(nft list ruleset)))[1], qr/goconnect_lan/, 'no filter';
};

is $_->stop_daemon, 0, $_->name . ' ends clean' for $ada, $bob;
$s->stop;
done_testing;
