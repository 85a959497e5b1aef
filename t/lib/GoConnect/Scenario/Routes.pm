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

    my $inside = $self->{printer} = $w->lab->host('printer');
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

# Whom the printer says that it is asked by, '' if it does not answer. socat
# writes addresses of IPv6 in full.
sub asked {
    my ($self, $to) = @_;
    my (undef, $said) = $self->{ada}->host->run({ timeout => 20 }, 'socat', '-t5', '-u', "$to,connect-timeout=2", '-');
    return $said =~ s/[\[\]\n]|(?<![0-9a-f])0+(?=[0-9a-f])//gr;
}

sub is_asked_by {
    my ($self, $to, $who, $name) = @_;
    return ok defined $self->{ada}->await(sub { $self->asked($to) =~ /\A$who\z/ }, 60), $name;
}

# A subnet of IPv6; and one whose members appear there as themselves.
sub plain {
    my ($self) = @_;
    my ($ada, $inside) = @$self{qw(ada printer)};
    my ($subnet6, $printer6) = ('fd99:77::/64', 'fd99:77::10');
    my $first = $self->{device}{ $self->carrier };
    my ($last) = $first->host->must(qw(ip -o -4 address show inside)) =~ m{77\.(\d)/};
    my ($four, $six) = ("TCP4:$PRINTER:7001", "TCP6:[$printer6]:7002");
    $inside->must('ip', 'address', 'add', "$printer6/64", 'dev', 'br0', 'nodad');
    $inside->start('asked4', 'socat', 'TCP4-LISTEN:7001,fork,reuseaddr', 'SYSTEM:echo $SOCAT_PEERADDR');
    $inside->start('asked6', 'socat', 'TCP6-LISTEN:7002,fork,reuseaddr,ipv6only=1', 'SYSTEM:echo $SOCAT_PEERADDR');
    $first->host->must('sh', '-c', "ip address add fd99:77::$last/64 dev inside nodad; "
        . 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding');

    my $offer = $first->json('route', 'offer', 'lan', $subnet6);
    ok $offer->{offered} && $offer->{masquerade} && $offer->{forwarded}, 'a subnet of IPv6 is offered';
    $ada->json('route', 'approve', 'lan', $first->name, $subnet6, '--insecure');
    ok defined $ada->await(sub { ($ada->cli('route', 'accept', 'lan', $subnet6))[0] == 0 }), 'and accepted';
    $self->is_asked_by($six, "fd99:77:.*:$last", 'the printer is asked by who offers it');
    $first->json('route', 'withdraw', 'lan', $subnet6);
    $self->is_asked_by($four, "192\\.168\\.77\\.$last", 'so it is by IPv4');

    $inside->must('ip', 'route', 'add', '10.40.0.0/24', 'via', "192.168.77.$last");
    $first->json('route', 'withdraw', 'lan', $SUBNET);
    $offer = $first->json('route', 'offer', 'lan', $SUBNET, '--no-masquerade');
    ok $offer->{offered} && !$offer->{masquerade}, 'offered without masquerading';
    $ada->json('route', 'approve', 'lan', $first->name, $SUBNET, '--insecure');
    my $own = quotemeta $ada->network->{ip_address};
    $self->is_asked_by($four, $own, 'it is asked by ada herself');
    $first->kill_daemon;
    $first->start_daemon;
    $self->is_asked_by($four, $own, 'also after a kill');
    return;
}

# Whoever administers the host knows better.
sub in_the_way {
    my ($self) = @_;
    my $host = $self->{ada}->host;
    my $carrier = $self->carrier;
    my ($via) = $host->must(qw(ip route show default)) =~ /via (\S+)/ or die 'no default route';
    $host->must('ip', 'route', 'replace', $SUBNET, 'via', $via);
    ok defined $self->{ada}->await(sub { ($self->rows->{$carrier}{problem} // '') =~ /has another route/ }, 60),
        'it is said why the subnet is not used';
    like $host->must('ip', 'route', 'show', $SUBNET), qr/via \Q$via\E/, 'the host\'s own route stands';
    $host->must('ip', 'route', 'del', $SUBNET, 'via', $via);
    ok $self->reached, 'without it the printer is reached again';
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
