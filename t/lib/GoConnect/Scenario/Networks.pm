package GoConnect::Scenario::Networks;

# Three devices in three networks at once: each network stands by itself, what
# overlaps is refused by name, and what somebody changes by hand is mended.

use strict;
use warnings;
use GoConnect::Scenario;
use Test::More;

my @NAME = qw(red green blue);

# A device's address in a network.
sub at { my ($d, $name) = @_; return $d->network(ucfirst $name)->{ip_address} }

sub begin {
    my ($w, @device) = @_;
    my $self = bless { w => $w, device => \@device, network => {} }, __PACKAGE__;
    for my $i (0 .. $#NAME) {
        my $n = $self->{network}{ $NAME[$i] } = $w->network($NAME[$i], cidr => "10.4$i.0.0/24");
        my $url = $w->invite($n);
        $w->join_by($_, $url, $n->{name}) for @device;
    }
    is scalar($_->interfaces), 3, $_->name . ' has three interfaces' for @device;
    return $self;
}

sub play {
    my ($w, @device) = @_;
    my $self = begin($w, @device);
    $self->all_reach;
    subtest 'one goes down by itself' => sub { $self->one_down };
    subtest 'what overlaps is refused, and both are named' => sub { $self->overlap };
    subtest 'changes by hand' => sub { $self->by_hand };
    subtest 'changes by wg' => sub { $self->by_wg };
    subtest 'changes behind its back' => sub { $self->behind_its_back };
    return $self;
}

sub all_reach {
    my ($self) = @_;
    for my $name (@NAME) {
        for my $from (@{ $self->{device} }) {
            my @lost = grep { !defined $from->host->reaches(at($_, $name), 60) }
                grep { $_ != $from } @{ $self->{device} };
            is_deeply [ map { $_->name } @lost ], [], $from->name . " reaches all in $name";
        }
    }
    return;
}

sub one_down {
    my ($self) = @_;
    my ($ada, $bob) = @{ $self->{device} };
    my $red = at($bob, 'red');
    $ada->json('down', 'red');
    is scalar($ada->interfaces), 2, 'two interfaces are left';
    isnt(($ada->host->run({ timeout => 5 }, qw(ping -c1 -W1), $red))[0], 0, 'red is out of reach');
    ok defined $ada->host->reaches(at($bob, 'green'), 60), 'green is not';
    $ada->json('up', 'red');
    ok defined $ada->host->reaches($red, 60), 'and back';
    return;
}

sub overlap {
    my ($self) = @_;
    my ($ada) = @{ $self->{device} };
    my $crimson = $self->{w}->network('crimson', cidr => '10.40.0.128/25');
    my ($status, $said) = $ada->cli('join', $self->{w}->invite($crimson), '--insecure');
    isnt $status, 0, 'it cannot be joined';
    like $said, qr/"Crimson".*"Red"/s, 'which says why';
    is scalar($ada->interfaces), 3, 'the others stay';
    return;
}

sub by_hand {
    my ($self) = @_;
    my ($ada, $bob) = @{ $self->{device} };
    my $host = $ada->host;
    my $if = $ada->network('Red')->{interface};
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
    $host->must(qw(ip link del gc-mine));
    return;
}

# What wg(8) changes nobody is told of: it is mended when the agent looks the
# next time, as when an address changes.
sub by_wg {
    my ($self) = @_;
    my ($ada, $bob) = @{ $self->{device} };
    my $host = $ada->host;
    my $if = $ada->network('Red')->{interface};
    my $to = at($bob, 'red');
    my $show = sub { $host->must('wg', 'show', $if, @_) };
    my $key = $ada->peers('red')->{ $bob->name }{public_key};
    my $state = sub { join '', map { $show->($_) } qw(public-key listen-port) };
    my $allowed = sub { join "\n", sort split /\n/, $show->('allowed-ips') };
    my ($was, $ips) = ($state->(), $allowed->());
    like $ips, qr{^\Q$key\E\t.*\Q$to\E/32}m, 'an address is its owner\'s';

    my $stranger = 'A' x 42 . 'E=';
    for my $try ([ 'a peer is removed, and a stranger has its address',
            "wg set $if peer $key remove peer $stranger allowed-ips $to/32" ],
        [ 'another key, port and range', "wg genkey | wg set $if private-key /dev/stdin "
            . "listen-port 51999 peer $key allowed-ips 10.77.0.0/16" ]) {
        my ($name, $command) = @$try;
        $host->must('sh', '-c', $command);
        $host->must(qw(ip address add 10.99.0.1/32 dev), $if);
        ok defined $ada->await(sub { $state->() eq $was && $allowed->() eq $ips }, 60), "$name: mended";
        ok defined $host->reaches($to, 60), '... and it is reached';
    }
    return;
}

# A daemon that does not run hears of nothing, and of so much that some is lost.
sub behind_its_back {
    my ($self) = @_;
    my ($ada, $bob) = @{ $self->{device} };
    my $host = $ada->host;
    my $if = $ada->network('Red')->{interface};
    my $reached = sub { defined $host->reaches(at($bob, 'red'), 60) };

    $host->must(qw(ip link add busy type bridge));
    $ada->freeze_daemon;
    $host->must('sh', '-c', 'for i in $(seq 4000); do echo link set busy mtu $((1280 + i % 200)); '
        . 'done | ip -batch -');
    $host->must('ip', 'address', 'flush', 'dev', $if);
    $ada->thaw_daemon;
    ok $reached->(), 'more news than fit: what was lost among them is mended';
    $host->must(qw(ip link del busy));

    $ada->freeze_daemon;
    $host->must('ip', 'link', 'del', $if);
    $host->must('ip', 'link', 'add', $if, 'type', 'bridge');
    $host->must('ip', 'link', 'set', $if, 'alias', 'not yours', 'up');
    $host->must('ip', 'address', 'add', '10.98.0.1/24', 'dev', $if);
    $ada->thaw_daemon;
    ok $reached->(), 'somebody else\'s interface has the name: the network is up all the same';
    isnt $ada->network('Red')->{interface}, $if, '... under another one';
    like join('', map { $host->must('ip', $_, 'show', $if) } qw(link address)),
        qr{UP.*alias not yours.*inet 10\.98\.0\.1/24}s, '... and that one is as it was';
    $host->must('ip', 'link', 'del', $if);
    return;
}

sub leaving {
    my ($self) = @_;
    my ($ada, undef, $cyd) = @{ $self->{device} };
    $cyd->leave('blue');
    is scalar($cyd->interfaces), 2, 'its interface is gone';
    ok defined $ada->await(sub { !$ada->peers('blue')->{ $cyd->name } }, 60), 'the others see it';
    ok $ada->peers('green')->{ $cyd->name }, 'and it stays in green';
    return;
}

# What is on disk is enough, for all of them.
sub reboot {
    my ($self) = @_;
    my ($ada, $bob) = @{ $self->{device} };
    $self->{w}->server->kill_all;
    $ada->kill_daemon;
    $ada->host->must('sh', '-c', 'kill -9 $(pidof wireguard-go) || true');
    $ada->host->run('ip', 'link', 'del', $_) for $ada->interfaces;
    ok defined $ada->await(sub { !$ada->interfaces }, 60), 'nothing is left';
    $ada->start_daemon;
    ok defined $ada->host->reaches(at($bob, $_), 60), "$_ is there without a server" for @NAME;
    $self->{w}->server->restart;
    return;
}

1;
