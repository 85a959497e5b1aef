# A subnet behind a member: nobody reaches it before an admin has approved it
# and he has accepted it himself; of two members that offer it the second takes
# over when the first is gone; what was made is taken back.

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
my %invite = map {
    $_ => $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
        { network_id => $network->{id}, max_uses => 10, role => $_ }, @as)
} qw(admin member);

my %d;
for (qw(ada:admin east:member west:member)) {
    my ($name, $role) = split /:/;
    my $d = $d{$name} = GoConnect::Device->new($lab, $name);
    $d->register($s->url);
    $d->join($invite{$role}{url});
}
my ($ada, $east, $west) = @d{qw(ada east west)};
ok defined $ada->sees([qw(east west)]), 'ada sees both';

# A subnet with a printer in it, behind east and west, and nobody else; the
# printer knows no way out of it.
my ($subnet, $printer) = ('192.168.77.0/24', '192.168.77.10');
my $inside = $lab->host('printer');
$inside->must('sh', '-c', 'ip route flush default; ip link add br0 type bridge forward_delay 0; '
    . "ip address add $printer/24 dev br0; ip link set br0 up");
for (1, 2) {
    my $host = ($east, $west)[ $_ - 1 ]->host;
    system('nsenter', '--net=' . $host->netns, 'ip', 'link', 'add', 'inside', 'type', 'veth',
        'peer', 'name', "in$_", 'netns', $inside->pid) == 0 or die "no link for $_";
    $inside->must('ip', 'link', 'set', "in$_", 'master', 'br0', 'up');
    $host->must('sh', '-c', "ip address add 192.168.77.$_/24 dev inside; ip link set inside up");
}
ok defined $_->host->reaches($printer, 20), $_->name . ' sits in it' for $east, $west;

sub pings { ($ada->host->run({ timeout => 10 }, qw(ping -n -q -c 1 -W 1), $_[0] // $printer))[0] == 0 }
sub reached { defined $ada->host->reaches($printer, 60) }
sub routed { $ada->host->must(qw(ip route show proto 201)) =~ /^\Q$subnet\E dev/m ? 1 : 0 }

# The subnet's rows as ada sees them, by the device's name.
sub rows { return { map { $_->{peer} => $_ } @{ $ada->json('routes', 'lan', '--insecure')->{routes} } } }

sub carrier { my ($row) = grep { $_->{in_use} } values %{ rows() }; return $row ? $row->{peer} : '' }

sub forwards {
    my ($device, $interface) = @_;
    chomp(my $said = $device->host->must('cat', "/proc/sys/net/ipv4/conf/$interface/forwarding"));
    return $said;
}

subtest 'offered, approved, accepted' => sub {
    my $offer = $east->json('route', 'offer', 'lan', $subnet);
    ok $offer->{offered} && !$offer->{approved} && $offer->{masquerade}, 'offered';
    ok !rows()->{east}{approved}, 'an admin sees what waits';
    is forwards($east, 'inside'), 0, 'nothing is forwarded yet';
    isnt +($east->cli('route', 'approve', 'lan', 'east', $subnet, '--insecure'))[0], 0, 'a member approves nothing';
    my ($status, $said) = $ada->cli('route', 'approve', 'lan', 'east', $subnet, '--insecure');
    is $status, 0, 'an admin does' or diag $said;
    ok defined $ada->await(sub { rows()->{east}{approved} }), 'it arrives';
    ok defined $east->await(sub { forwards($east, 'inside') }), 'east forwards';
    ok !rows()->{east}{accepted} && !routed() && !pings(), 'but ada has not accepted it';
    ($status, $said) = $ada->cli('route', 'accept', 'lan', $subnet);
    is $said, "$subnet is reached by east.\n", 'she does';
    ok defined $ada->host->reaches($printer, 30), 'and reaches it';
    ok routed(), 'by a route that is marked';
    isnt +($west->host->run({ timeout => 10 }, qw(ping -n -q -c 1 -W 1 -I), ($west->interfaces)[0], $printer))[0], 0,
        'who has not accepted it does not';
};

subtest 'conflicts' => sub {
    my ($own) = $ada->host->address =~ /^(.*)\.\d+$/;
    my ($status, $said) = $ada->cli('route', 'accept', 'lan', "$own.0/25");
    is $status, 1, 'a part of the own subnet is refused';
    is $said, "goconnect: $own.0/25 of network Lan is inside $own.0/24, which this device sits in itself\n",
        'with the names of both';
    for ([ '192.168.77.1/24', 'host bits' ], [ '0.0.0.0/0', 'an exit' ], [ 'x', 'nothing' ]) {
        ($status, $said) = $ada->cli('route', 'accept', 'lan', $_->[0]);
        is $status, 2, "$_->[1]: refused";
    }
    ($status, $said) = $ada->cli('route', 'offer', 'lan', '10.40.0.128/25');
    isnt $status, 0, 'nobody offers a part of the network';
    is +($ada->cli('route', 'offer', 'lan', '192.168.5.0/33'))[0], 2, 'or what is no subnet';
    ok reached(), 'what was accepted stands';
};

subtest 'what goconnectd is not to be asked' => sub {
    my $id = $ada->network->{network_id};
    my $code = sub {
        my ($request) = @_;
        my $said = $ada->host->must({ input => "$request\n" }, 'socat', '-t5', '-', 'UNIX:/run/goconnect/goconnectd.sock');
        return $said =~ /"code": ?"(\w+)"/ ? $1 : $said;
    };
    for my $case (
        [ qq({"command": "routes"}), 'unknown_network' ],
        [ qq({"command": "route", "network_id": "$id"}), 'bad_request' ],
        [ qq({"command": "route", "network_id": "$id", "action": 5, "prefix": []}), 'bad_request' ],
        [ qq({"command": "route", "network_id": "$id", "action": "accept"}), 'usage' ],
        [ qq({"command": "route", "network_id": "$id", "action": "accept", "prefix": "::/0"}), 'usage' ],
        [ qq({"command": "route", "network_id": "$id", "action": "offer", "prefix": "10.1.2.3/8"}), 'usage' ],
        [ qq({"command": "route", "network_id": "$id", "action": "offer", "prefix": "192.168.5.0"}), 'usage' ],
        [ qq({"command": "exit"}), 'unknown_network' ],
        [ qq({"command": "exit", "action": "use", "network_id": "x"}), 'unknown_network' ],
        [ qq({"command": "exit", "action": "x", "network_id": "$id"}), 'bad_request' ],
        [ qq({"command": "exit", "action": "use", "network_id": "$id", "peer_id": 5}), 'usage' ],
    ) {
        is $code->($case->[0]), $case->[1], $case->[0] =~ s/\Q$id\E/ID/r;
    }
};

subtest 'two offer it' => sub {
    ok $west->json('route', 'offer', 'lan', $subnet)->{offered}, 'west too';
    $ada->json('route', 'approve', 'lan', 'west', $subnet, '--insecure');
    ok defined $ada->await(sub { rows()->{west}{approved} }), 'approved';
    ok defined $west->await(sub { forwards($west, 'inside') }), 'west forwards';
    my $first = carrier();
    like $first, qr/^(?:east|west)$/, 'one carries';
    my $second = $first eq 'east' ? 'west' : 'east';
    ok reached(), 'the printer answers';
    $d{$first}->host->cable($lab, 'down');
    my $took = $ada->await(sub { pings() && carrier() eq $second }, 240);
    ok defined $took, 'the second takes over';
    diag sprintf 'after %.1f s', $took if defined $took;
    $d{$first}->host->cable($lab, 'up');
    my $left = $d{$second}->json('route', 'withdraw', 'lan', $subnet);
    ok !$left->{offered}, 'the second withdraws';
    ok defined $ada->await(sub { pings() && carrier() eq $first }, 240), 'the first has it again';
    ok defined $d{$second}->await(sub { !forwards($d{$second}, 'inside') }), 'the second forwards no more';
};

subtest 'killed' => sub {
    $_->kill_daemon for $ada, $east, $west;
    ok reached(), 'it works without goconnectd';
    $_->start_daemon for $ada, $east, $west;
    ok defined $ada->await(sub { carrier() ne '' }), 'and is taken over';
    ok reached(), 'without harm';
    $ada->kill_daemon;
    $ada->start_daemon;
    $ada->cli('down');
    is $ada->host->must(qw(ip route show proto 201)), '', 'down leaves no route';
    $ada->cli('up');
    ok defined $ada->host->reaches($printer, 60), 'up brings it back';
};

subtest 'taken back' => sub {
    my ($first) = grep { $_->name eq carrier() } $east, $west;
    like +($ada->cli('route', 'refuse', 'lan', $subnet))[1], qr/not used by this device/, 'refused';
    ok !routed() && !pings(), 'gone';
    $ada->json('route', 'accept', 'lan', 'all');
    ok defined $ada->host->reaches($printer, 60), 'all are accepted';
    $first->kill_daemon;
    $first->start_daemon;
    $first->json('route', 'withdraw', 'lan', $subnet);
    ok defined $ada->await(sub { !routed() }), 'withdrawn: no route any more';
    ok defined $first->await(sub { !forwards($first, 'inside') }), 'and nothing is forwarded';
    unlike +($first->host->run(qw(nft list table inet goconnect)))[1], qr/192\.168\.77/, 'nor is there a rule';
};

$_->stop_daemon for values %d;
$s->stop;
done_testing;
