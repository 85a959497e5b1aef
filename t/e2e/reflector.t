# Games that look for each other by broadcast: in a network of mode l3 they
# find each other on the ports that the network lists, and on no other.

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
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', cidr => '10.40.0.0/24' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as);

my %d = map { $_ => GoConnect::Device->new($lab, $_) } qw(ada bob);
my ($ada, $bob) = @d{qw(ada bob)};
for my $d ($ada, $bob) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->sees(['bob']) && defined $bob->sees(['ada']), 'they see each other';
ok defined $ada->host->reaches($bob->address, 20), 'and reach each other';
ok defined $ada->await(sub { $ada->peers->{bob}{status} eq 'online' }), 'bob is online';

# A game on bob: it hears who asks on three ports, and answers one who asks.
for my $port (4445, 4446) {
    $bob->host->start("game$port", 'socat', "UDP4-RECVFROM:$port,fork", 'SYSTEM:echo found by $SOCAT_PEERADDR');
}
$bob->host->start('group', 'socat', 'UDP4-RECVFROM:4447,fork', 'SYSTEM:echo found by $SOCAT_PEERADDR');
ok defined $bob->await(sub { $bob->host->must('cat', '/proc/net/udp') =~ /:115F .*/ }), 'bob plays';

# What comes back when ada asks everybody on a port.
sub asks {
    my ($to, $port, $options) = @_;
    my (undef, $said) = $ada->host->run({ input => "anybody?\n", timeout => 30 }, 'socat', '-t2', '-',
        "UDP4-DATAGRAM:$to:$port,broadcast" . ($options // ''));
    return $said;
}

# Sets the ports and waits until ada heeds them.
sub ports {
    my (@ports) = @_;
    $s->must(200, PATCH => "/v1/networks/$network->{id}", { settings => { reflector_ports => \@ports } }, @as);
    my $want = @ports ? 1 : 0;
    return defined $ada->await(sub { ($ada->host->must('cat', '/proc/net/packet') =~ /^\S+ +\d+ +2 +0003 /m ? 1 : 0) == $want });
}

my $by = qr/^found by \Q@{[ $ada->address ]}\E$/m;
is asks('255.255.255.255', 4445), '', 'without a listed port nobody is found';
ok ports(4445, 4447), 'ports are listed';
like asks('255.255.255.255', 4445), $by, 'then bob is, at ada\'s address in the network';
like asks($ada->host->address =~ s/\d+$/255/r, 4445), $by, 'by her subnet\'s broadcast too';
like asks('10.40.0.255', 4445), $by, 'and by the network\'s';
like asks('239.1.2.3', 4447), $by, 'and by multicast';
is asks('255.255.255.255', 4446), '', 'on no other port';

subtest 'once, and from the port that asked' => sub {
    $bob->host->start('count', 'socat', '-u', 'UDP4-RECVFROM:4450,fork', 'SYSTEM:echo $SOCAT_PEERPORT >> ' . $bob->host->home . '/heard');
    ok ports(4445, 4450, 4447), 'another port';
    ok defined $bob->await(sub { $bob->host->must('cat', '/proc/net/udp') =~ /:1162 / }), 'bob listens';
    asks('255.255.255.255', 4450, ',bind=:4999');
    my $heard = sub { open my $fh, '<', $bob->host->home . '/heard' or return ''; local $/; scalar(<$fh>) // '' };
    ok defined $bob->await(sub { $heard->() ne '' }), 'bob hears it';
    is $heard->(), "4999\n", 'one copy, from that port';
};

subtest 'what is received is not told on' => sub {
    my $eve = $lab->host('eve', with => 'ada');
    my (undef, $said) = $eve->run({ input => "anybody?\n", timeout => 30 }, 'socat', '-t2', '-',
        'UDP4-DATAGRAM:255.255.255.255:4445,broadcast');
    is $said, '', 'ada\'s neighbour finds nobody: nothing of her LAN leaks';
};

ok ports(), 'no port any more';
is asks('255.255.255.255', 4445), '', 'and nobody is found';

$_->stop_daemon for $ada, $bob;
$s->stop;
done_testing;
