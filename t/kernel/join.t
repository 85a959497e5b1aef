#!/usr/bin/perl
# The same agent in the virtual machine against Debian's kernel: a real server
# (nginx and PostgreSQL inside it too), two hosts that join by an invite and
# reach each other through the kernel's WireGuard, a daemon killed and back.

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
    { name => "Lan $_[0]", slug => "lan$_[0]", join_policy => 'invite' }, @as) });
my $invite = patiently(sub { $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as) });

my ($ada, $bob) = map { GoConnect::Device->new($lab, $_) } qw(ada bob);
for my $d ($ada, $bob) {
    patiently(sub { $d->register($s->url, $d->name . $_[0]) });
    patiently(sub {
        return 1 if eval { $d->join($invite->{url}) };
        my $why = $@;
        return $d->address ? 1 : die $why;
    });
    ok defined $d->await(sub { $d->interfaces }, 60), $d->name . ' joined as ' . $d->address;
    is $d->json('status')->{backend}, 'kernel', 'by the kernel';
    like $d->host->must(qw(ip -d link show), ($d->interfaces)[0]), qr/\bwireguard\b/,
        'its interface is one of WireGuard';
}
ok defined $ada->sees(['bob'], 60), 'ada sees bob';
ok defined $bob->sees(['ada'], 60), 'bob sees ada';
my $took = $ada->host->reaches($bob->address, 60);
ok defined $took, 'ada reaches bob through the tunnel';
ok defined $bob->host->reaches($ada->address, 60), 'bob reaches ada';

# wg(8)'s dump without what counts up
sub dump_of {
    my ($d) = @_;
    my $text = $d->host->must(qw(wg show all dump));
    $text =~ s/\t\d+\t\d+\t\d+\t(\w+)$/\t$1/mg;
    return $text . $d->host->must(qw(ip route show proto 201))
        . $d->host->must('ip', '-br', 'address', 'show', 'dev', ($d->interfaces)[0]);
}

subtest 'the daemon is killed and comes back' => sub {
    my $before = dump_of($ada);
    $ada->kill_daemon;
    ok defined $ada->host->reaches($bob->address, 20), 'the tunnel stays meanwhile';
    $ada->start_daemon;
    ok defined $ada->await(sub { ($ada->network->{state} // '') eq 'up' }, 60), 'it is back';
    is dump_of($ada), $before, 'and found everything as it should be';
};

subtest 'one goes down' => sub {
    $ada->json('down');
    is_deeply [ $ada->interfaces ], [], 'no interface';
    unlike $ada->host->must('ip', 'route'), qr/gc-|proto 201/, 'no route';
};

is $_->stop_daemon, 0, $_->name . ' ends clean' for $ada, $bob;
$s->stop;
done_testing;
