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
