# nginx is killed with -9 and started again: the tunnels stay up meanwhile, and
# afterwards everybody is back and in step.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 2, address => $GoConnect::Lab::SERVER);

my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', join_policy => 'invite' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as);

my ($ada, $bob) = map { GoConnect::Device->new($lab, $_) } qw(ada bob);
for my $d ($ada, $bob) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->sees(['bob']), 'ada sees bob';
ok defined $ada->host->reaches($bob->address, 20), 'the tunnel is up';
my ($to_bob, $to_ada) = ($bob->address, $ada->address);

# Ten echoes a second go on through all that follows.
my $echo = $ada->host->start('echo', 'ping', '-n', '-i', '0.1', $to_bob);

$s->kill_all;
ok defined $ada->host->reaches($to_bob, 5), 'ada reaches bob without a server';
ok defined $bob->host->reaches($to_ada, 5), 'bob reaches ada without a server';

subtest 'an agent that is started meanwhile restores its tunnels from disk' => sub {
    $bob->kill_daemon;
    $bob->start_daemon;
    ok defined $bob->host->reaches($to_ada, 20), 'bob reaches ada';
    is scalar($bob->interfaces), 1, 'with one interface';
};

$s->restart;
for my $d ($ada, $bob) {
    my $seconds = $d->await(sub { $d->json('status')->{control} eq 'connected' }, 60);
    ok defined $seconds, $d->name . ' is back';
    diag sprintf '%s was back after %.1f s', $d->name, $seconds if defined $seconds;
}

# In step: a newcomer is seen by both, and what was changed before is there.
my $cyd = GoConnect::Device->new($lab, 'cyd');
$cyd->register($s->url);
$cyd->join($invite->{url});
ok defined $ada->sees([qw(bob cyd)], 20), 'ada sees the newcomer';
ok defined $bob->sees([qw(ada cyd)], 20), 'bob sees the newcomer';
ok defined $cyd->host->reaches($to_ada, 20), 'the newcomer reaches ada';

ok defined $ada->await(sub { $ada->host->log('echo') =~ /.*icmp_seq=(\d+)/s && $1 >= 40 }, 60), 'echoes go on';
$ada->host->stop($echo, 'INT');
my ($sent, $got) = $ada->host->log('echo') =~ /(\d+) packets transmitted, (\d+) received/;

# bob's own restart may cost a moment; nothing else may.
ok $sent && $sent - $got <= 30, "of $sent $got came back" or diag $ada->host->log('echo');

is $_->stop_daemon, 0, $_->name . ' ends clean' for $ada, $bob, $cyd;
$s->stop;
done_testing;
