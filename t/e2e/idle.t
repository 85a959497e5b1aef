# A mesh that nobody uses sends nothing: no handshake, no keep-alive, no probe,
# whatever happens around it. Then the first packet connects two of three.

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

my @d = my ($ada, $bob, $cyd) = map { GoConnect::Device->new($lab, $_) } qw(ada bob cyd);

# Datagrams that leave a host for another one, but for what its resolver and
# the control connection need, are WireGuard's.
my $count = <<'NFT';
table inet t {
    counter wg {
    }
    chain out {
        type filter hook output priority 0;
        oifname "eth0" meta l4proto udp udp dport != 53 counter name wg
    }
}
NFT
$_->host->must({ input => $count }, qw(nft -f -)) for @d;

sub sent {
    my ($d) = @_;
    my ($packets) = $d->host->must(qw(nft list counter inet t wg)) =~ /packets (\d+)/;
    return $packets;
}

for my $d (@d) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->sees([qw(bob cyd)]), 'ada sees the others';
ok defined $bob->sees([qw(ada cyd)]), 'bob too';
ok defined $cyd->sees([qw(ada bob)]), 'cyd too';

# What moves a mesh: another name, another place, a daemon and a server that
# come back. Each is over when the others have heard of it.
$s->must(200, PATCH => "/v1/networks/$network->{id}", { name => 'Lan party' }, @as);
ok defined $_->await(sub { $_->network->{name} eq 'Lan party' }), $_->name . ' heard of the new name'
    for @d;
my $there = $lab->move('cyd', 'bob')->address;
ok defined $ada->await(sub { $ada->peers->{cyd}{endpoint} =~ /^\Q$there\E:/ }, 60), 'ada heard of the move';
$bob->kill_daemon;
$bob->start_daemon;
$s->kill_all;
$s->restart;
for my $d (@d) {
    ok defined $d->await(sub { $d->json('status')->{control} eq 'connected' }, 60),
        $d->name . ' is connected again';
}
ok defined $bob->await(sub { (grep { $_->{status} eq 'online' } values %{ $bob->peers }) == 2 }, 60),
    'bob knows who is there';
is sent($_), 0, $_->name . ' has sent nothing' for @d;

ok defined $ada->host->reaches($bob->address, 20), 'ada reaches bob';
cmp_ok sent($ada), '>', 0, 'which takes datagrams';
is sent($cyd), 0, 'but none of cyd';

$_->stop_daemon for @d;
$s->stop;
done_testing;
