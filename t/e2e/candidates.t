# A device tells several addresses, and the first of them leads nowhere from
# where the other one is: traffic without a handshake moves on to the next.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;

my $DEAD = '203.0.113.77';    # TEST-NET-3: no router of the lab knows the way

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 1, address => $GoConnect::Lab::SERVER);
my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => 'Lan' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id} }, @as);

my ($ada, $bob) = map { GoConnect::Device->new($lab, $_) } qw(ada bob);
my $lives = $bob->host->address;
my $router = $lives =~ s/\d+$/1/r;
$bob->host->must('sh', '-c', "ip -4 address flush dev eth0 && ip address add $DEAD/24 dev eth0 && "
    . "ip address add $lives/24 dev eth0 && ip route add default via $router");

for my $d ($ada, $bob) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->sees(['bob']), 'ada sees bob';
ok defined $bob->await(sub {
    my $list = $s->must(200, GET => "/v1/networks/$network->{id}/peers", undef, @as);
    my ($peer) = grep { $_->{name} eq 'bob' } @{ $list->{items} };
    return ($peer->{endpoint} // '') =~ /^\Q$DEAD\E:/
        && grep { /^\Q$lives\E:/ } @{ $peer->{endpoints} };
}), 'bob tells the dead address first, and the living one';
like $ada->peers->{bob}{endpoint}, qr/^\Q$DEAD\E:/, 'ada begins with the first';

my $took = $ada->host->reaches($bob->address, 60);
ok defined $took, 'and reaches bob all the same';
diag sprintf 'after %.1f s', $took if defined $took;
like $ada->peers->{bob}{endpoint}, qr/^\Q$lives\E:/, 'at the living address';

$_->stop_daemon for $ada, $bob;
$s->stop;
done_testing;
