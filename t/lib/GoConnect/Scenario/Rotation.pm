package GoConnect::Scenario::Rotation;

# A device's key changes while somebody talks: nothing is lost but what is on
# its way in that moment. One that is away meanwhile, two at once, and daemons
# that are killed in the middle find together again. The devices' daemons tell
# what they do in detail (--log-level debug).

use strict;
use warnings;
use GoConnect::Scenario;
use Test::More;

sub begin {
    my ($w, $ada, $bob, $eve) = @_;
    my $network = $w->network('lan');
    $w->gather($network, $ada, $bob, $eve);
    return bless { w => $w, network => $network, ada => $ada, bob => $bob, eve => $eve,
        to_ada => $ada->address, to_bob => $bob->address }, __PACKAGE__;
}

sub play {
    my ($w, @device) = @_;
    my $self = begin($w, @device);
    subtest 'while somebody pings a hundred times a second' => sub { $self->pinging };
    subtest 'two at once' => sub { $self->two };
    subtest 'one that was away' => sub { $self->away };
    return $self;
}

# The key that the server lists for a device.
sub listed {
    my ($self, $d) = @_;
    return $self->{w}->peers($self->{network})->{ $d->name }{public_key};
}

# What WireGuard and the server say of a device's key is one thing.
sub agrees {
    my ($self, $d, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($own, $said);
    ok defined $d->await(sub {
        ($own) = map { $_->{public_key} } grep { $_->{self} } @{ $d->json('peers')->{peers} };
        $said = $self->listed($d);
        return $own eq $said && $d->network->{rotation} eq 'none';
    }, 60), $name or diag "own $own, listed $said: " . $d->log_tail;
    return $said;
}

# Changes ada's key: the new one, which is listed.
sub rotated {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = $self->listed($self->{ada});
    my $done = GoConnect::Scenario::patiently(sub { $self->{ada}->json('rotate', 'lan') });
    isnt $done->{public_key}, $before, 'another key';
    return $done->{public_key};
}

# Both ways at once: who pings and who is pinged are not alike.
sub pinging {
    my ($self) = @_;
    my ($ada, $bob) = @$self{qw(ada bob)};
    my @case = ([ 'from bob', $bob, $self->{to_ada} ], [ 'from ada', $ada, $self->{to_bob} ]);
    my $last = sub { ($_[0]->host->log('ping') =~ /.*seq=(\d+) /s)[0] // 0 };
    my @pid = map { $_->[1]->host->start('ping', 'ping', '-n', '-D', '-i', '0.01', '-w', '600', $_->[2]) } @case;
    ok defined $_->[1]->await(sub { $last->($_->[1]) > 50 }, 60), "pings flow $_->[0]" for @case;
    my $key = $self->rotated;
    my @at = map { $last->($_->[1]) } @case;

    # beyond the time after which the new key is used by all
    for my $i (0, 1) {
        my ($from, $d) = @{ $case[$i] };
        ok defined $d->await(sub { $last->($d) > $at[$i] + 300 }, 120), "they go on $from";
        $d->host->stop($pid[$i]);
        my $gap = longest_gap($d->host->log('ping'));
        diag sprintf 'longest gap over a rotation, %s: %.0f ms', $from, $gap * 1000;
        cmp_ok $gap, '<', $GoConnect::Scenario::IN_VM ? 30 : 5, 'the gap is no outage';
    }
    is $self->agrees($ada, 'in step'), $key, 'the server has the new key';
    return;
}

# In seconds, between two answers as ping -D tells of them.
sub longest_gap {
    my ($log) = @_;
    my ($then, $gap) = (undef, 0);
    for ($log =~ /^\[([\d.]+)\] \d+ bytes/mg) {
        $gap = $_ - $then if defined $then && $_ - $then > $gap;
        $then = $_;
    }
    return $gap;
}

sub reach_each_other {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok defined $self->{ada}->host->reaches($self->{to_bob}, 60), 'ada reaches bob';
    ok defined $self->{bob}->host->reaches($self->{to_ada}, 60), 'bob reaches ada';
    return;
}

sub begin_rotation {
    my ($d) = @_;
    return $d->host->start('rotate', "$GoConnect::Device::BUILD/goconnect", 'rotate', 'lan');
}

sub two {
    my ($self) = @_;
    my ($ada, $bob) = @$self{qw(ada bob)};
    my @old = map { $self->listed($_) } $ada, $bob;
    begin_rotation($_) for $ada, $bob;
    ok defined $ada->await(sub {
        $self->listed($ada) ne $old[0] && $self->listed($bob) ne $old[1] }, 60), 'both are committed'
        or diag $ada->host->log('rotate'), $bob->host->log('rotate');
    $self->agrees($_, $_->name) for $ada, $bob;
    $self->reach_each_other;
    return;
}

sub away {
    my ($self) = @_;
    my ($ada, $eve) = @$self{qw(ada eve)};
    $eve->stop_daemon;
    my $key = $self->rotated;
    is $self->agrees($ada, 'ada has a new key'), $key, 'which is listed';
    $eve->start_daemon;
    ok defined $eve->await(sub { (($eve->peers->{ $ada->name } // {})->{public_key} // '') eq $key }, 60),
        'eve learns of it';
    ok defined $eve->host->reaches($self->{to_ada}, 60), 'and reaches ada';
    return;
}

# All daemons are killed when ada's has come to each of these steps. The others
# come back once she waits for them again: what they said before is lost, and
# she would wait in vain, as for somebody who is away.
sub killed {
    my ($self, @steps) = @_;
    my ($ada, @others) = @$self{qw(ada bob eve)};
    my $lines = sub { scalar(() = $ada->log =~ /rotation: $_[0]\b/g) };
    for my $after (@steps) {
        my $before = $lines->($after);
        begin_rotation($ada);
        ok defined $ada->await(sub { $lines->($after) > $before }, 60), $ada->name . " is $after";
        $_->kill_daemon for $ada, @others;
        my ($waiting, $done) = map { $lines->($_) } qw(waiting none);
        $ada->start_daemon;
        ok defined $ada->await(sub { $lines->('waiting') > $waiting || $lines->('none') > $done
            || $ada->network->{rotation} eq 'none' }, 60), 'it goes on';
        $_->start_daemon for @others;
        isnt $self->agrees($ada, "ada, killed while $after"), '', 'has a key';

        # bob first: if his daemon had not stored what it knew, his session is
        # gone, and ada notices only by WireGuard's timers (15 s and more)
        ok defined $self->{bob}->host->reaches($self->{to_ada}, 60), 'bob reaches ada';
        ok defined $ada->host->reaches($self->{to_bob}, 60), 'ada reaches bob';
    }
    return;
}

1;
