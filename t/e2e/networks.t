# Three devices in three networks at once: each network stands by itself, what
# overlaps is refused by name, and what somebody changes by hand is mended.

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

# An invite to a new network.
sub network {
    my ($name, %more) = @_;
    my $n = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => $name, %more }, @as);
    return $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
        { network_id => $n->{id}, max_uses => 10 }, @as)->{url};
}

my @name = qw(red green blue);
my %invite = map { $name[$_] => network($name[$_], cidr => "10.4$_.0.0/24") } 0 .. 2;
my @d = my ($ada, $bob, $cyd) = map { GoConnect::Device->new($lab, $_) } qw(ada bob cyd);
for my $d (@d) {
    $d->register($s->url);
    $d->join($invite{$_}) for @name;
}

sub at { my ($d, $network) = @_; return $d->network($network)->{ip_address} }

sub everybody_meets {
    my ($said, @network) = @_;
    for my $network (@network) {
        for my $from (@d) {
            my @lost = grep { !defined $from->host->reaches(at($_, $network), 60) }
                grep { $_ != $from } @d;
            is_deeply [ map { $_->name } @lost ], [], "$said: " . $from->name . " reaches all in $network";
        }
    }
    return;
}

is scalar($_->interfaces), 3, $_->name . ' has three interfaces' for @d;
everybody_meets('at once', @name);

subtest 'one goes down by itself' => sub {
    my $red = at($bob, 'red');
    $ada->json('down', 'red');
    is scalar($ada->interfaces), 2, 'two interfaces are left';
    isnt(($ada->host->run({ timeout => 5 }, qw(ping -c1 -W1), $red))[0], 0, 'red is out of reach');
    ok defined $ada->host->reaches(at($bob, 'green'), 20), 'green is not';
    $ada->json('up', 'red');
    ok defined $ada->host->reaches($red, 60), 'and back';
};

subtest 'what overlaps is refused, and both are named' => sub {
    my $url = network('crimson', cidr => '10.40.0.128/25');
    my ($status, $said) = $ada->cli('join', $url, '--insecure');
    isnt $status, 0, 'it cannot be joined';
    like $said, qr/"crimson".*"red"/s, 'which says why';
    is scalar($ada->interfaces), 3, 'the others stay';
};

subtest 'changes by hand' => sub {
    my $host = $ada->host;
    my ($if) = map { $_->{interface} } $ada->network('red');
    my $to = at($bob, 'red');
    my $mended = sub { defined $host->reaches($to, 60) };

    $host->must(qw(ip link add gc-mine type bridge));
    $host->must(qw(ip link set gc-mine alias), 'not yours', 'up');
    $host->must('ip', 'link', 'del', $if);
    ok $mended->(), 'the interface is deleted: it comes back';
    $host->must('ip', 'link', 'set', $if, 'down');
    ok $mended->(), 'put down: up again';
    $host->must('ip', 'address', 'flush', 'dev', $if);
    ok $mended->(), 'without addresses: they are back';
    $host->must('ip', 'route', 'del', '10.40.0.0/24');
    ok $mended->(), 'without its route: it is back';
    $host->must('ip', 'link', 'set', $if, 'mtu', '1300');
    ok defined $ada->await(sub { $host->must('ip', 'link', 'show', $if) =~ /mtu 1420 / }, 60),
        'another MTU: its own again';
    $host->must('ip', 'address', 'add', '10.99.0.1/24', 'dev', $if);
    ok defined $ada->await(sub { $host->must('ip', 'address', 'show', $if) !~ /10\.99\.0\.1/ }, 60),
        'an address more: it goes';
    like $host->must(qw(ip link show gc-mine)), qr/UP.*alias not yours/s,
        'somebody else\'s interface is as it was';
};

subtest 'leaving one leaves the others' => sub {
    $cyd->leave('blue');
    is scalar($cyd->interfaces), 2, 'its interface is gone';
    ok defined $ada->await(sub { !$ada->peers('blue')->{cyd} }, 60), 'ada sees cyd go from blue';
    ok $ada->peers('green')->{cyd}, 'and stay in green';
};

# What is on disk is enough, for all of them.
$s->kill_all;
$ada->kill_daemon;
$ada->host->must('sh', '-c', 'kill -9 $(pidof wireguard-go) || true');
$ada->await(sub { !grep { $_ ne 'gc-mine' } $ada->interfaces }, 20);
$ada->start_daemon;
ok defined $ada->host->reaches(at($bob, $_), 60), "after a reboot without a server: $_" for @name;
$s->restart;

$_->stop_daemon for @d;
$s->stop;
done_testing;
