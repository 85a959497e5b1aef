package GoConnect::Scenario::Roam;

# A device is carried to another network and back, while either side talks, and
# it wakes up from a sleep: the tunnel and the control connection come back by
# themselves. Ada's daemon is one of sleeper()'s.

use strict;
use warnings;
use GoConnect::Device;
use Test::More;

# The file that makes the clock of a daemon with these options jump.
sub ahead { my ($w) = @_; return $w->lab->dir . '/ahead' }

sub sleeper {
    my ($w) = @_;
    return (env => [ "LD_PRELOAD=$GoConnect::Device::BUILD/drivers/boottime.so", 'BOOTTIME_AHEAD=' . ahead($w) ]);
}

sub play {
    my ($w, $ada, $bob) = @_;
    my $network = $w->network('lan');
    $w->gather($network, $ada, $bob);
    my $self = bless { w => $w, ada => $ada, bob => $bob, network => $network,
        to_bob => $bob->address, to_ada => $ada->address }, __PACKAGE__;
    my $home = $w->neighbour($ada)->name;    # keeps ada's LAN a place to come back to
    $self->carried($bob->name, $ada, $self->{to_bob}, 'ada came to bob and talks');
    $self->carried($home, $ada, $self->{to_bob}, 'ada went home and talks');
    $self->carried($bob->name, $bob, $self->{to_ada}, 'ada came to bob, who talks');
    $self->carried($home, $bob, $self->{to_ada}, 'ada went home, bob talks');
    subtest 'a cable that is pulled for a moment' => sub {
        $ada->host->cable($w->lab, 'down');
        $ada->host->cable($w->lab, 'up');
        ok defined $ada->host->reaches($self->{to_bob}, 60), 'ada reaches bob';
    };
    subtest 'a sleep' => sub { $self->asleep };
    return $self;
}

sub connected {
    my ($ada) = @_;
    return defined $ada->await(sub { $ada->json('status')->{control} eq 'connected' }, 60);
}

# Carries ada away while somebody talks; how long until an answer came.
sub carried {
    my ($self, $there, $talks, $to, $said) = @_;
    my ($w, $ada, $bob) = @$self{qw(w ada bob)};
    my $at = $w->lab->move($ada->name, $there)->address;
    my $took = $talks->host->reaches($to, 60);
    ok defined $took, $said;
    diag sprintf '%s: %.2f s', $said, $took if defined $took;
    like $bob->peers->{ $ada->name }{endpoint}, qr/^(?:\Q$at\E:|\[2001:db8:)/, 'where ada is now';
    ok connected($ada), 'the control connection is back' or diag $ada->log_tail;
    ok defined $ada->await(sub {
        grep { /^\Q$at\E:/ } @{ $w->peers($self->{network})->{ $ada->name }{endpoints} } }, 60),
        'and the server knows the new address';
    return;
}

# Lines of the daemon's log that match, so far.
sub lines { my ($d, $what) = @_; return scalar grep { /$what/ } split /\n/, $d->log }

sub asleep {
    my ($self) = @_;
    my $ada = $self->{ada};
    ok connected($ada), 'ada is connected';
    open my $fh, '>', ahead($self->{w}) or die $!;
    print $fh 3600;
    close $fh;

    # waking up, a machine's links tell of themselves
    $ada->host->must(qw(ip link set eth0 alias awake));
    ok defined $ada->await(sub { lines($ada, qr/was asleep for 3(?:599|6\d\d) s/) }, 60), 'is noticed';
    ok connected($ada), 'the server is there again';
    ok defined $ada->host->reaches($self->{to_bob}, 60), 'ada reaches bob';
    is lines($ada, qr/asleep for/), 1, 'noticed once';
    return;
}

1;
