package GoConnect::Scenario::Routes;

# A subnet behind a member: nobody reaches it before an admin has approved it
# and he has accepted it himself; of two members that offer it the second takes
# over when the first is gone; what was made is taken back.

use strict;
use warnings;
use Test::More;

our $SUBNET = '192.168.77.0/24';
our $PRINTER = '192.168.77.10';

# Ada, who comes as an admin, and two between whom lies a subnet with a printer
# in it that knows no way out of it.
sub begin {
    my ($w, $ada, $east, $west) = @_;
    my $network = $w->network('lan', cidr => '10.40.0.0/24');
    my $self = bless { w => $w, network => $network, ada => $ada, east => $east, west => $west,
        device => { map { $_->name => $_ } $ada, $east, $west } }, __PACKAGE__;
    $w->join_by($ada, $w->invite($network, role => 'admin'), $network->{name});
    my $url = $w->invite($network);
    $w->join_by($_, $url, $network->{name}) for $east, $west;
    ok defined $ada->sees([ map { $_->name } $east, $west ], 60), 'ada sees both';

    my $inside = $w->lab->host('printer');
    $inside->must('sh', '-c', 'ip route flush default; ip link add br0 type bridge forward_delay 0; '
        . "ip address add $PRINTER/24 dev br0; ip link set br0 up");
    for (1, 2) {
        my $host = ($east, $west)[ $_ - 1 ]->host;
        system('nsenter', '--net=' . $host->netns, 'ip', 'link', 'add', 'inside', 'type', 'veth',
            'peer', 'name', "in$_", 'netns', $inside->pid) == 0 or die "no link for $_";
        $inside->must('ip', 'link', 'set', "in$_", 'master', 'br0', 'up');
        $host->must('sh', '-c', "ip address add 192.168.77.$_/24 dev inside; ip link set inside up");
    }
    ok defined $_->host->reaches($PRINTER, 60), $_->name . ' sits in it' for $east, $west;
    return $self;
}

sub play {
    my ($w, @device) = @_;
    my $self = begin($w, @device);
    subtest 'offered, approved, accepted' => sub { $self->accepted };
    subtest 'two offer it' => sub { $self->two };
    subtest 'killed' => sub { $self->killed };
    return $self;
}

sub pings {
    my ($self) = @_;
    return ($self->{ada}->host->run({ timeout => 10 }, qw(ping -n -q -c 1 -W 1), $PRINTER))[0] == 0;
}

sub reached { my ($self) = @_; return defined $self->{ada}->host->reaches($PRINTER, 60) }

sub routed {
    my ($self) = @_;
    return $self->{ada}->host->must(qw(ip route show proto 201)) =~ /^\Q$SUBNET\E dev/m ? 1 : 0;
}

# The subnet's rows as ada sees them, by the device's name.
sub rows {
    my ($self) = @_;
    return { map { $_->{peer} => $_ } @{ $self->{ada}->json('routes', 'lan', '--insecure')->{routes} } };
}

# The name of the one that carries it for ada, or ''.
sub carrier {
    my ($self) = @_;
    my ($row) = grep { $_->{in_use} } values %{ $self->rows };
    return $row ? $row->{peer} : '';
}

sub forwards {
    my ($device, $interface) = @_;
    chomp(my $said = $device->host->must('cat', "/proc/sys/net/ipv4/conf/$interface/forwarding"));
    return $said;
}

sub is_forwarded { my ($d) = @_; return defined $d->await(sub { forwards($d, 'inside') }, 60) }

sub accepted {
    my ($self) = @_;
    my ($ada, $east, $west) = @$self{qw(ada east west)};
    my $name = $east->name;
    my $offer = $east->json('route', 'offer', 'lan', $SUBNET);
    ok $offer->{offered} && !$offer->{approved} && $offer->{masquerade}, 'offered';
    ok !$self->rows->{$name}{approved}, 'an admin sees what waits';
    is forwards($east, 'inside'), 0, 'nothing is forwarded yet';
    isnt +($east->cli('route', 'approve', 'lan', $name, $SUBNET, '--insecure'))[0], 0, 'a member approves nothing';
    my ($status, $said) = $ada->cli('route', 'approve', 'lan', $name, $SUBNET, '--insecure');
    is $status, 0, 'an admin does' or diag $said;
    ok defined $ada->await(sub { $self->rows->{$name}{approved} }, 60), 'it arrives';
    ok is_forwarded($east), "$name forwards";
    ok !$self->rows->{$name}{accepted} && !$self->routed && !$self->pings, 'but ada has not accepted it';
    ($status, $said) = $ada->cli('route', 'accept', 'lan', $SUBNET);
    is $said, "$SUBNET is reached by $name.\n", 'she does';
    ok $self->reached, 'and reaches it';
    ok $self->routed, 'by a route that is marked';
    isnt +($west->host->run({ timeout => 10 }, qw(ping -n -q -c 1 -W 1 -I), ($west->interfaces)[0], $PRINTER))[0], 0,
        'who has not accepted it does not';
    return;
}

sub two {
    my ($self) = @_;
    my ($w, $ada, $east, $west) = @$self{qw(w ada east west)};
    ok $west->json('route', 'offer', 'lan', $SUBNET)->{offered}, 'another one too';
    $ada->json('route', 'approve', 'lan', $west->name, $SUBNET, '--insecure');
    ok defined $ada->await(sub { $self->rows->{ $west->name }{approved} }, 60), 'approved';
    ok is_forwarded($west), 'it forwards';
    my $first = $self->{device}{ $self->carrier };
    ok $first && $first != $ada, 'one carries' or return;
    my $second = $first == $east ? $west : $east;
    ok $self->reached, 'the printer answers';
    $first->host->cable($w->lab, 'down');
    my $took = $ada->await(sub { $self->pings && $self->carrier eq $second->name }, 240);
    ok defined $took, 'the second takes over';
    diag sprintf 'after %.1f s', $took if defined $took;
    $first->host->cable($w->lab, 'up');
    my $left = $second->json('route', 'withdraw', 'lan', $SUBNET);
    ok !$left->{offered}, 'the second withdraws';
    ok defined $ada->await(sub { $self->pings && $self->carrier eq $first->name }, 240), 'the first has it again';
    ok defined $second->await(sub { !forwards($second, 'inside') }, 60), 'the second forwards no more';
    return;
}

sub killed {
    my ($self) = @_;
    my ($ada, @all) = @$self{qw(ada ada east west)};
    $_->kill_daemon for @all;
    ok $self->reached, 'it works without goconnectd';
    $_->start_daemon for @all;
    ok defined $ada->await(sub { $self->carrier ne '' }, 60), 'and is taken over';
    ok $self->reached, 'without harm';
    $ada->kill_daemon;
    $ada->start_daemon;
    $ada->cli('down');
    is $ada->host->must(qw(ip route show proto 201)), '', 'down leaves no route';
    $ada->cli('up');
    ok $self->reached, 'up brings it back';
    return;
}

sub taken_back {
    my ($self) = @_;
    my $ada = $self->{ada};
    my $first = $self->{device}{ $self->carrier };
    like +($ada->cli('route', 'refuse', 'lan', $SUBNET))[1], qr/not used by this device/, 'refused';
    ok !$self->routed && !$self->pings, 'gone';
    $ada->json('route', 'accept', 'lan', 'all');
    ok $self->reached, 'all are accepted';
    $first->kill_daemon;
    $first->start_daemon;
    $first->json('route', 'withdraw', 'lan', $SUBNET);
    ok defined $ada->await(sub { !$self->routed }, 60), 'withdrawn: no route any more';
    ok defined $first->await(sub { !forwards($first, 'inside') }, 60), 'and nothing is forwarded';
    unlike +($first->host->run(qw(nft list table inet goconnect)))[1], qr/192\.168\.77/, 'nor is there a rule';
    return;
}

1;
