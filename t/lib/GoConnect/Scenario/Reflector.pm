package GoConnect::Scenario::Reflector;

# Games that look for each other by broadcast: in a network of mode l3 they
# find each other on the ports that the network lists, and on no other.

use strict;
use warnings;
use Test::More;

sub play {
    my ($w, $ada, $bob) = @_;
    my $network = $w->network('lan', cidr => '10.40.0.0/24');
    my $self = bless { w => $w, ada => $ada, bob => $bob, network => $network }, __PACKAGE__;
    $w->gather($network, $ada, $bob);
    ok defined $ada->await(sub { $ada->peers->{ $bob->name }{status} eq 'online' }, 60), 'bob is online';
    $self->serve;

    my $by = qr/^found by \Q@{[ $ada->address ]}\E$/m;
    is $self->asked('255.255.255.255', 4445), '', 'without a listed port nobody is found';
    ok $self->ports(4445, 4447), 'ports are listed';
    my @own = ($ada->host->address =~ s/\d+$/255/r, 4445);
    like $self->answer('255.255.255.255', 4445), $by, 'then bob is, at ada\'s address in the network';
    like $self->answer(@own), $by, 'by her subnet\'s broadcast too';
    like $self->answer('10.40.0.255', 4445), $by, 'and by the network\'s';
    like $self->answer('239.1.2.3', 4447), $by, 'and by multicast';
    like $self->answer('255.255.255.255', 4445, ',bind=' . $ada->address), $by,
        'and from her address in the network';
    is $self->asked('255.255.255.255', 4446), '', 'on no other port';
    subtest 'once, and from the port that asked' => sub { $self->once };
    subtest 'what is received is not told on' => sub { $self->not_on };

    ok $self->ports, 'no port any more';
    is $self->asked('255.255.255.255', 4445), '', 'and nobody is found';
    return $self;
}

# A game on bob: it hears who asks on three ports, and answers one who asks.
sub serve {
    my ($self) = @_;
    for my $port (4445 .. 4447) {
        $self->{bob}->host->start("game$port", 'socat', "UDP4-RECVFROM:$port,fork",
            'SYSTEM:echo found by $SOCAT_PEERADDR');
    }
    ok $self->listens($_), "bob plays on $_" for 4445 .. 4447;
    return;
}

sub listens {
    my ($self, $port) = @_;
    my $line = sprintf ':%04X ', $port;
    return defined $self->{bob}->await(sub {
        $self->{bob}->host->must('cat', '/proc/net/udp') =~ /$line/ }, 60);
}

# What comes back within two seconds when ada asks everybody on a port.
sub asked {
    my ($self, $to, $port, $options) = @_;
    my (undef, $said) = $self->{ada}->host->run({ input => "anybody?\n", timeout => 30 },
        'socat', '-t2', '-', "UDP4-DATAGRAM:$to:$port,broadcast" . ($options // ''));
    return $said;
}

# The same, until something does.
sub answer {
    my ($self, @ask) = @_;
    my $said = '';
    $self->{ada}->await(sub { ($said = $self->asked(@ask)) =~ /found/ }, 60);
    return $said;
}

# Sets the ports and waits until ada heeds them.
sub ports {
    my ($self, @ports) = @_;
    $self->{w}->must(200, PATCH => "/v1/networks/$self->{network}{id}",
        { settings => { reflector_ports => \@ports } });
    my $want = @ports ? 1 : 0;
    return defined $self->{ada}->await(sub {
        ($self->{ada}->host->must('cat', '/proc/net/packet') =~ /^\S+ +\d+ +2 +0003 /m ? 1 : 0) == $want }, 60);
}

sub once {
    my ($self) = @_;
    my $bob = $self->{bob};
    my $file = $bob->host->home . '/heard';
    $bob->host->start('count', 'socat', '-u', 'UDP4-RECVFROM:4450,fork',
        "SYSTEM:echo \$SOCAT_PEERPORT >> $file");
    ok $self->ports(4445, 4450, 4447), 'another port';
    ok $self->listens(4450), 'bob listens';
    my $heard = sub { open my $fh, '<', $file or return ''; local $/; scalar(<$fh>) // '' };
    my $times = 0;
    ok defined $bob->await(sub {
        $times++;
        $self->asked('255.255.255.255', 4450, ',bind=:4999');
        $heard->() ne '' }, 60), 'bob hears it';

    # a first copy that was lost is nothing to wonder at: a second one would be
    unlike $heard->(), qr/^(?!4999$)./m, 'from that port';
    cmp_ok scalar(() = $heard->() =~ /^4999$/mg), '<=', $times, 'and one copy';
    return;
}

sub not_on {
    my ($self) = @_;
    my $eve = $self->{w}->neighbour($self->{ada});
    my (undef, $said) = $eve->run({ input => "anybody?\n", timeout => 30 }, 'socat', '-t2', '-',
        'UDP4-DATAGRAM:255.255.255.255:4445,broadcast');
    is $said, '', 'ada\'s neighbour finds nobody: nothing of her LAN leaks';
    return;
}

1;
