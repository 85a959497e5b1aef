# A device is carried to another network and back, while either side talks, and
# it wakes up from a sleep: the tunnel and the control connection come back by
# themselves.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;
use Time::HiRes qw(time);

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 1, address => $GoConnect::Lab::SERVER);
my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => 'Lan' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as);

my $ahead = $lab->dir . '/ahead';
my $ada = GoConnect::Device->new($lab, 'ada', env => [
    "LD_PRELOAD=$GoConnect::Device::BUILD/drivers/boottime.so", "BOOTTIME_AHEAD=$ahead" ]);
my $bob = GoConnect::Device->new($lab, 'bob');
my $home = $lab->host('home', with => 'ada');    # keeps ada's LAN a place to come back to
for my $d ($ada, $bob) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->sees(['bob']), 'ada sees bob';
ok defined $bob->sees(['ada']), 'bob sees ada';
ok defined $ada->host->reaches($bob->address, 20), 'ada reaches bob';
my ($to_bob, $to_ada) = ($bob->address, $ada->address);

# Lines of the daemon's log that match, so far.
sub lines { my ($d, $what) = @_; return scalar grep { /$what/ } split /\n/, $d->log }

# Carries ada away while somebody talks; how long until an answer came.
sub carried {
    my ($there, $talks, $to, $said) = @_;
    my $at = $lab->move('ada', $there)->address;
    my $took = $talks->host->reaches($to, 60);
    ok defined $took, $said;
    diag sprintf '%s: %.2f s', $said, $took if defined $took;
    like $bob->peers->{ada}{endpoint}, qr/^(?:\Q$at\E:|\[2001:db8:)/, 'where ada is now';
    ok defined $ada->await(sub { $ada->json('status')->{control} eq 'connected' }, 60),
        'the control connection is back';
    my $endpoint = $ada->await(sub {
        my $list = $s->must(200, GET => "/v1/networks/$network->{id}/peers", undef, @as);
        my ($peer) = grep { $_->{name} eq 'ada' } @{ $list->{items} };
        return grep { /^\Q$at\E:/ } @{ $peer->{endpoints} };
    }, 60);
    ok defined $endpoint, 'and the server knows the new address';
    return;
}

carried('bob', $ada, $to_bob, 'ada came to bob and talks');
carried('home', $ada, $to_bob, 'ada went home and talks');
carried('bob', $bob, $to_ada, 'ada came to bob, who talks');
carried('home', $bob, $to_ada, 'ada went home, bob talks');

subtest 'a cable that is pulled for a moment' => sub {
    $ada->host->cable($lab, 'down');
    $ada->host->cable($lab, 'up');
    ok defined $ada->host->reaches($to_bob, 60), 'ada reaches bob';
};

subtest 'a sleep' => sub {
    my $before = $ada->json('status');
    is $before->{control}, 'connected', 'ada is connected';
    open my $fh, '>', $ahead or die $!;
    print $fh 3600;
    close $fh;

    # waking up, a machine's links tell of themselves
    $ada->host->must(qw(ip link set eth0 alias awake));
    ok defined $ada->await(sub { lines($ada, qr/was asleep for 3(?:599|6\d\d) s/) }, 60), 'is noticed';
    ok defined $ada->await(sub { $ada->json('status')->{control} eq 'connected' }, 60),
        'the server is there again';
    ok defined $ada->host->reaches($to_bob, 60), 'ada reaches bob';
    is lines($ada, qr/asleep for/), 1, 'noticed once';
};

$_->stop_daemon for $ada, $bob;
$s->stop;
done_testing;
