# A device's key changes while somebody talks: nothing is lost but what is on
# its way in that moment. One that is away meanwhile, two at once, and daemons
# that are killed in the middle find together again.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 1, address => $GoConnect::Lab::SERVER);
my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => 'Lan' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as);

my ($ada, $bob, $eve) = map { GoConnect::Device->new($lab, $_,
    args => [qw(--insecure --log-level debug)]) } qw(ada bob eve);
for my $d ($ada, $bob, $eve) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->sees([qw(bob eve)]), 'all see each other';
ok defined $bob->sees([qw(ada eve)]), '... bob too';
ok defined $eve->sees([qw(ada bob)]), '... eve too';
my ($to_ada, $to_bob) = ($ada->address, $bob->address);
ok defined $ada->host->reaches($to_bob, 30), 'ada reaches bob';
ok defined $eve->host->reaches($to_ada, 30), 'eve reaches ada';

# The key that the server lists for a device.
sub listed {
    my ($d) = @_;
    my $list = $s->must(200, GET => "/v1/networks/$network->{id}/peers", undef, @as);
    my ($peer) = grep { $_->{name} eq $d->name } @{ $list->{items} };
    return $peer->{public_key};
}

# What WireGuard and the server say of a device's key is one thing.
sub agrees {
    my ($d, $name) = @_;
    my ($own, $said);
    ok defined $d->await(sub {
        ($own) = map { $_->{public_key} } grep { $_->{self} } @{ $d->json('peers')->{peers} };
        $said = listed($d);
        return $own eq $said && $d->network->{rotation} eq 'none';
    }, 60), $name or diag "own $own, listed $said: " . $d->log_tail;
    return $said;
}

subtest 'while somebody pings a hundred times a second' => sub {
    my $before = agrees($ada, 'known');
    for my $case ([ 'from bob', $bob, $to_ada ], [ 'from ada', $ada, $to_bob ]) {
        my ($from, $d, $to) = @$case;
        my $log = "ping-" . $d->name;
        my $pid = $d->host->start($log, 'ping', '-n', '-D', '-i', '0.01', '-w', '300', $to);
        ok defined $d->await(sub { $d->host->log($log) =~ /seq=50 / }, 60), 'pings flow';
        my $done = $ada->json('rotate', 'lan');
        isnt $done->{public_key}, $before, 'another key';
        $before = $done->{public_key};
        my ($last) = $d->host->log($log) =~ /.*seq=(\d+) /s;
        my $more = $d->await(sub {
            ($d->host->log($log) =~ /.*seq=(\d+) /s)[0] > $last + 300 }, 60);
        ok defined $more, "pings $from go on";
        $d->host->stop($pid);
        my ($then, $gap) = (undef, 0);
        for ($d->host->log($log) =~ /^\[([\d.]+)\] \d+ bytes/mg) {
            $gap = $_ - $then if defined $then && $_ - $then > $gap;
            $then = $_;
        }
        diag sprintf 'longest gap over a rotation, %s: %.0f ms', $from, $gap * 1000;
        cmp_ok $gap, '<', 5, 'the gap is no outage';
        is agrees($ada, 'in step'), $before, 'the server has the new key';
    }
};

subtest 'two at once' => sub {
    my @old = map { listed($_) } $ada, $bob;
    $_->host->start('rotate', "$GoConnect::Device::BUILD/goconnect", 'rotate', 'lan') for $ada, $bob;
    ok defined $ada->await(sub {
        listed($ada) ne $old[0] && listed($bob) ne $old[1] }, 60), 'both are committed'
        or diag $ada->host->log('rotate'), $bob->host->log('rotate');
    agrees($_, $_->name) for $ada, $bob;
    ok defined $ada->host->reaches($to_bob, 60), 'ada reaches bob';
    ok defined $bob->host->reaches($to_ada, 60), 'bob reaches ada';
};

subtest 'one that was away' => sub {
    $eve->stop_daemon;
    my $key = $ada->json('rotate', 'lan')->{public_key};
    is agrees($ada, 'ada has a new key'), $key, 'which is listed';
    $eve->start_daemon;
    ok defined $eve->await(sub { ($eve->peers->{ada} // {})->{public_key} // '' eq $key }, 60),
        'eve learns of it';
    ok defined $eve->host->reaches($to_ada, 60), 'and reaches ada';
};

subtest 'killed in the middle' => sub {
    for my $after (qw(announcing waiting committing)) {
        my $steps = () = $ada->log =~ /rotation: $after\b/g;
        $ada->host->start('rotate', "$GoConnect::Device::BUILD/goconnect", 'rotate', 'lan');
        ok defined $ada->await(sub { $steps < (() = $ada->log =~ /rotation: $after\b/g) }, 60),
            "ada is $after";
        $ada->kill_daemon;
        $bob->kill_daemon;
        $bob->start_daemon;
        $ada->start_daemon;
        isnt agrees($ada, "ada, killed while $after"), '', 'has a key';
        ok defined $ada->host->reaches($to_bob, 60), 'ada reaches bob';
        ok defined $bob->host->reaches($to_ada, 60), 'bob reaches ada';
    }
};

$_->stop_daemon for $ada, $bob, $eve;
$s->stop;
done_testing;
