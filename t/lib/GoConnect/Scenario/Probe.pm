package GoConnect::Scenario::Probe;

# How peers are reached: round trip, loss and path; ping asks for it; and a path
# that swallows large packets is found and mended.

use strict;
use warnings;
use Test::More;

sub play {
    my ($w, $ada, $bob) = @_;
    my $network = $w->network('lan');
    $w->join_by($_, $w->invite($network), $network->{name}) for $ada, $bob;
    my $self = bless { w => $w, network => $network, ada => $ada, bob => $bob }, __PACKAGE__;
    my $sees = sub { my ($d, $other) = @_; $d->await(sub { $d->peers->{ $other->name } }, 60) };
    ok defined $sees->($ada, $bob) && defined $sees->($bob, $ada), 'they see each other';
    subtest 'ping' => sub { $self->ping };
    subtest 'what is known of a peer' => sub { $self->known };
    return $self;
}

sub ping {
    my ($self) = @_;
    my ($ada, $bob) = @$self{qw(ada bob)};
    my $said;
    ok defined $ada->await(sub { $said = $ada->json('ping', 'bob', '-c', 1) }, 60),
        'bob answers, from nothing';
    is $said->{received}, 1, 'one answer';
    is $said->{answers}[0]{path}, 'direct', 'by a direct path';
    like $said->{answers}[0]{endpoint}, qr/^(?:\Q@{[ $bob->host->address ]}\E:|\[2001:db8:)/,
        'which is bob';
    cmp_ok $said->{min}, '>', 0, 'a round trip';
    diag sprintf 'first ping %.1f ms', $said->{min} / 1000;
    return;
}

sub known {
    my ($self) = @_;
    my ($ada, $bob) = @$self{qw(ada bob)};
    my $peer;
    ok defined $ada->host->reaches($bob->address, 60), 'ada reaches bob';
    ok defined $ada->await(sub { $peer = $ada->peers->{bob}; $peer->{rtt} && $peer->{mtu} }, 60),
        'the round trip is measured';
    is $peer->{path}, 'direct', 'direct';
    is $peer->{mtu}, 1420, 'full packets pass';
    cmp_ok $peer->{loss}, '<=', 100, 'loss in percent';
    return;
}

# A tunnel or a link on the way that says nothing of what it drops.
sub narrow {
    my ($self) = @_;
    my ($ada, $bob, $middle) = (@$self{qw(ada bob)}, $self->{w}->lab->middle);
    my @large = ('ping', '-n', '-q', '-c', 1, '-W', 5, '-s', 1372, $bob->address);
    my $passes = sub { ($ada->host->run(@large))[0] == 0 };
    ok defined $ada->await($passes, 60), 'a large packet passes';
    $middle->must('nft', 'add table inet hole; add chain inet hole forward '
        . '{ type filter hook forward priority 0; }; '
        . 'add rule inet hole forward meta length > 1300 drop');
    ok !$passes->(), 'and does not any more';

    for my $d ($ada, $bob) {
        $d->stop_daemon;
        $d->start_daemon;
    }
    for ([ $ada, 'bob', $bob ], [ $bob, 'ada', $ada ]) {
        my ($d, $name, $to) = @$_;
        ok defined $d->await(sub {
            $d->cli('ping', '-c', 1, $name);
            my $mtu = $d->peers->{$name}{mtu};
            $mtu && $mtu < 1420;
        }, 120), $d->name . ' has found out';
        my $mtu = $d->peers->{$name}{mtu};
        ok $mtu >= 1192 && $mtu <= 1240, "what passes: $mtu";
        my $route = sub { $d->host->must('ip', 'route', 'get', $to->address) };
        ok defined $d->await(sub { $route->() =~ /mtu $mtu\b/ }, 60), 'its route says so';
    }
    ok defined $ada->await($passes, 60), 'a large packet passes, in pieces';

    is +($ada->cli('down'))[0], 0, 'ada goes down';
    unlike $ada->host->must('ip', 'route', 'show', 'proto', 201), qr/\S/, 'no route is left';
    $middle->must(qw(nft delete table inet hole));
    is +($ada->cli('up'))[0], 0, 'and up again';
    return;
}

1;
