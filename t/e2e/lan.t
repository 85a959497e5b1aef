# LAN mode: in a network of mode l2 devices meet as on one cable. Broadcasts,
# multicast and protocols other than IP cross, and what would harm a LAN does
# not; in a plain network none of them do.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::LanMode;
use GoConnect::Server;

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 2, address => $GoConnect::Lab::SERVER);
my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my (%network, %invite);
for my $case ([ Games => 'l2' ], [ Plain => 'l3' ]) {
    my ($name, $mode) = @$case;
    $network{$name} = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
        { name => $name, join_policy => 'invite', mode => $mode }, @as);
    $invite{$name} = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
        { network_id => $network{$name}{id}, max_uses => 10 }, @as);
}

my %d = map { $_ => GoConnect::Device->new($lab, $_) } qw(ada bob);
for my $d (@d{qw(ada bob)}) {
    $d->register($s->url);
    $d->join($invite{$_}{url}) for qw(Games Plain);
    my $network = $d->network('Games');
    is $network->{mode}, 'l2', $d->name . ' is on a LAN';
    is $network->{lan_interface}, 'gv-games', 'on an interface of its own';
    is $d->network('Plain')->{mode}, 'l3', 'and in a plain network';
    like $d->host->must(qw(ip address show dev gv-games)), qr/inet \Q$network->{ip_address}\E/,
        'which has the address in the network';
}
my ($ada, $bob) = @d{qw(ada bob)};
my $lan = 'gv-games';

sub ip { return $_[0]->network($_[1] // 'Games')->{ip_address} }

sub fdb { return join '', sort grep { /\bdst\b/ } split /^/, $_[0]->host->must(qw(bridge fdb show dev), $lan) }

sub index_of { return ($_[0]->host->must(qw(ip -o link show dev), $lan) =~ /^(\d+):/)[0] }

sub has { return (grep { $_ eq $lan } map { (split /[\s@]+/)[0] }
    split /\n/, $_[0]->host->must(qw(ip -br link)))[0] }

sub table { return ($_[0]->host->run(qw(nft list table), $_[1], 'goconnect_lan'))[1] }

for my $d (@d{qw(ada bob)}) {
    ok defined $d->await(sub { my @line = split /\n/, fdb($d); @line == 2 }),
        $d->name . ' knows where the other one is';
}
ok defined $ada->host->reaches(ip($bob), 30), 'ada reaches bob';
ok defined $bob->host->reaches(ip($ada), 30), 'bob reaches ada';
ok defined $ada->host->reaches(ip($bob, 'Plain'), 30), 'in the plain network too';
like $ada->host->must(qw(ip link show dev), $lan), qr/mtu 1350\b/, 'the MTU leaves room for what it is carried in';
my ($status) = $ada->host->run(qw(ping -n -c 1 -W 10 -M do -s 1322), ip($bob));
is $status, 0, 'a frame of full size passes';

subtest 'what crosses' => sub {
    is GoConnect::LanMode::game($ada, $bob, $lan, 'broadcast', network => 'Games', tries => 20),
        'broadcast', 'a game is found by broadcast';
    is GoConnect::LanMode::game($ada, $bob, $lan, 'multicast', network => 'Games', tries => 20),
        'multicast', 'and by multicast';
    is GoConnect::LanMode::game($ada, $bob, $lan, 'broadcast', network => 'Plain'), 'unicast',
        'in the plain network it is not, only by its address';
    is GoConnect::LanMode::game($ada, $bob, $lan, 'multicast', network => 'Plain'), 'unicast',
        'nor by multicast';
    my ($to, $from) = map { GoConnect::LanMode::mac($_, $lan) } $bob, $ada;
    my @frames = ("$to$from${GoConnect::LanMode::TYPE}0102", "ffffffffffff$from${GoConnect::LanMode::TYPE}0304");
    is_deeply GoConnect::LanMode::frames($ada, $bob, $lan, @frames), \@frames,
        'so do frames that are not IP, to one and to all';
    ok defined $ada->await(sub {
        ($ada->host->run(qw(ping -6 -n -c 1 -W 2), "ff02::1%$lan"))[1] =~ /from fe80::/;
    }, 60), 'IPv6 finds all nodes';
};

subtest 'what does not' => sub {
    my ($to, $from) = map { GoConnect::LanMode::mac($_, $lan) } $bob, $ada;
    my $mark = unpack 'H*', 'GC-FRAME';
    my $router = '86dd60000000000c3afffe800000000000000000000000000001ff02000000000000000000000000000186000000';
    my $lease = '08004500002800000000401100000a0000010a000002004300440014000000';
    my $group = '0800450000200000000001020000' . '0a000001' . 'e0000016' . '22000000';
    my %bad = (
        'a router\'s word' => "333300000001$from$router$mark",
        'a DHCP server\'s' => "ffffffffffff$from$lease$mark",
        'membership of groups' => "01005e000016$from$group$mark",
        'a question for an address' => "ffffffffffff${from}0806$mark",
        'spanning tree' => "0180c2000000${from}0027424203$mark",
        'LLDP' => "0180c200000e${from}88cc$mark",
        'somebody else\'s hardware address' => "${to}020000000001${GoConnect::LanMode::TYPE}$mark",
        'somebody else\'s address' => "$to${from}08004500002800000000401100000a0900010a0900022710271000140000$mark",
    );
    for my $what (sort keys %bad) {
        is_deeply GoConnect::LanMode::frames($ada, $bob, $lan, $bad{$what}), [], "$what does not cross";
    }

    # a stranger who knows all that is to be known of the LAN, but the keys
    my $vni = ($bob->host->must(qw(ip -d link show dev), $lan) =~ /vxlan id (\d+)/)[0];
    my $frame = "$to$from${GoConnect::LanMode::TYPE}$mark";
    my $packet = sprintf '08000000%06x00%s', $vni, $frame;
    my $eve = $lab->host('eve', with => 'bob');
    my $pid = $bob->host->start('outside', GoConnect::LanMode::command('hear', $lan));
    ok defined $bob->await(sub { $bob->host->log('outside') =~ /^ready/m }, 60), 'bob listens';
    my ($six) = $bob->host->must(qw(ip -6 address show dev eth0 scope global)) =~ /inet6 ([0-9a-f:]+)/;
    $eve->must($^X, '-MSocket=:all', '-e', 'socket my $s, PF_INET6, SOCK_DGRAM, 0 or die; '
        . 'send($s, pack("H*", $ARGV[1]), 0, pack_sockaddr_in6(51822, inet_pton(AF_INET6, $ARGV[0]))) or die $! for 1 .. 3',
        $six, $packet);
    is $eve->address && ($eve->run(qw(ping -6 -n -c 1 -W 10), $six))[0], 0, 'what eve sends arrives';
    my $all = GoConnect::LanMode::frames($ada, $bob, $lan);
    is_deeply $all, [], 'but not on the LAN';
    unlike $bob->host->log('outside'), qr/^heard/m, 'at no time';
    $bob->host->stop($pid);
};

subtest 'a third one comes and goes' => sub {
    my ($before, $index) = (fdb($ada), index_of($ada));
    my $cyd = $d{cyd} = GoConnect::Device->new($lab, 'cyd', with => 'bob');
    $cyd->register($s->url);
    $cyd->join($invite{Games}{url});
    ok defined $ada->await(sub { my @line = split /\n/, fdb($ada); @line == 4 }), 'ada knows where';
    is GoConnect::LanMode::game($cyd, $bob, $lan, 'broadcast', network => 'Games', tries => 20),
        'broadcast', 'cyd finds bob\'s game';
    is GoConnect::LanMode::game($ada, $cyd, $lan, 'broadcast', network => 'Games', tries => 20),
        'broadcast', 'ada finds cyd\'s';
    $cyd->leave('games');
    ok !has($cyd), 'cyd left, with the interface';
    unlike table($cyd, $_), qr/chain/, "and the $_ table" for qw(inet netdev);
    ok defined $ada->await(sub { fdb($ada) eq $before }), 'ada forgets it';
    is index_of($ada), $index, 'and is on the same interface all the time';
};

subtest 'the daemon is killed' => sub {
    my @before = (fdb($ada), index_of($ada), $ada->host->must(qw(ip neigh show nud permanent dev), $lan));
    $ada->kill_daemon;
    ok defined $ada->host->reaches(ip($bob), 10), 'the LAN stays';
    $ada->start_daemon;
    ok defined $ada->await(sub { $ada->network('Games')->{state} eq 'up' }), 'it is back';
    is_deeply [ fdb($ada), index_of($ada), $ada->host->must(qw(ip neigh show nud permanent dev), $lan) ],
        \@before, 'and found all as it should be';
};

subtest 'somebody meddles' => sub {
    my ($fdb, $table) = (fdb($ada), table($ada, 'netdev'));
    $ada->host->must(qw(ip link delete), $lan);
    ok defined $ada->await(sub { has($ada) && fdb($ada) eq $fdb }, 60), 'the interface is made again';
    ok defined $ada->host->reaches(ip($bob), 30), 'and works';
    $ada->host->must(qw(ip address flush dev), $lan);
    ok defined $ada->host->reaches(ip($bob), 60), 'so is its address';
    $ada->host->must(qw(bridge fdb add 02:00:00:00:00:09 dst fd00::9 dev), $lan);
    $ada->host->must(qw(ip link set mtu 1300 dev), $lan);
    ok defined $ada->await(sub { fdb($ada) eq $fdb }, 60), 'what others added is removed';
    $ada->host->must(qw(nft flush ruleset));
    ok defined $ada->await(sub { table($ada, 'netdev') =~ /hook egress/ && table($ada, 'inet') =~ /drop/ }, 60),
        'the filters are laid again';
};

subtest 'down and up' => sub {
    $ada->json('down', 'games');
    ok !has($ada), 'no interface';
    unlike table($ada, $_), qr/chain/, "nor $_ table" for qw(inet netdev);
    unlike $ada->host->must(qw(ip route show)), qr/$lan/, 'nor route';
    $ada->json('up', 'games');
    ok defined $ada->await(sub { $ada->network('Games')->{state} eq 'up' }), 'up again';
    ok defined $ada->host->reaches(ip($bob), 30), 'bob is reached';
};

subtest 'made and looked at from the terminal' => sub {
    $bob->json(qw(tenant create Bobs --insecure));
    my $made = $bob->json(qw(network create bobs Cable --mode l2 --insecure));
    is $made->{mode}, 'l2', 'a network like a LAN' or diag explain $made;
    my ($code, $said) = $bob->cli(qw(network create bobs Odd --mode l4 --insecure));
    is $code, 5, 'no such mode';
    like $said, qr/mode: /, 'and says what is wrong';
};

subtest 'another\'s interface has the name' => sub {
    $bob->json('down', 'games');
    $bob->host->must('ip', 'link', 'add', $lan, qw(type bridge));
    $bob->cli('up', 'games');
    ok defined $bob->await(sub { $bob->network('Games')->{state} eq 'failed' }, 30), 'it fails';
    like $bob->network('Games')->{error}, qr/interface name $lan .*rename or remove it/, 'and says why';
    like $bob->host->must(qw(ip -d link show dev), $lan), qr/bridge/, 'the other\'s stays';
    is $bob->network('Plain')->{state}, 'up', 'the other network is not troubled';
    $bob->host->must(qw(ip link delete), $lan);
    ok defined $bob->await(sub { $bob->network('Games')->{state} eq 'up' }, 60), 'once it is gone the LAN is there';
};

for my $d (values %d) {
    is $d->stop_daemon, 0, $d->name . ' ends clean';
}
$s->stop;
done_testing;
