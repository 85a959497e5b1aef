package GoConnect::NatLab::Probe;

# Run on a host: asks STUN servers from one socket and says as JSON what came.
# Lost answers are asked for again; those that cannot come are given up.

use strict;
use warnings;
use GoConnect::RelayPeer;
use IO::Select;
use IO::Socket::IP;
use JSON::PP qw(encode_json);
use Socket qw(getaddrinfo AI_NUMERICHOST SOCK_DGRAM);

my @padded = (padding => "\0" x 128);

sub _to { my ($host, $port) = @_; my (undef, $found) = getaddrinfo($host, $port, { flags => AI_NUMERICHOST,
    socktype => SOCK_DGRAM }); return $found->{addr} }

# Sends a question and notes its id with what is asked.
sub _send {
    my ($self, $to, $name, @more) = @_;
    my $request = GoConnect::RelayPeer::message('binding', 'request', undef, @padded, @more);
    $self->{asked}{ substr $request, 8, 12 } = $name;
    return $self->{socket}->send($request, 0, $to);
}

# Takes what comes until a question of that name is answered, at most so long.
sub _hear {
    my ($self, $name, $seconds) = @_;
    while (!$self->{said}{$name} && IO::Select->new($self->{socket})->can_read($seconds)) {
        defined $self->{socket}->recv(my $text, 2000) or next;
        my $said = GoConnect::RelayPeer::read_message($text) or next;
        my $which = $self->{asked}{ $said->{id} } // next;
        $self->{said}{$which} = GoConnect::RelayPeer::address($said->{mapped}, $said->{id}) if $said->{mapped};
    }
    return $self->{said}{$name};
}

# Where the server sees us; asked again until it says so, or so many times.
sub _asks {
    my ($self, $name, $to, $tries) = @_;
    for (1 .. $tries) {
        $self->_send($to, $name);
        return $self->{said}{$name} if $self->_hear($name, 0.3);
    }
    return;
}

# From the last port: answers of the first server, from elsewhere too; then how
# it is seen by that one's port after the given one, and by the others.
sub run {
    my ($tries, $own, $port, @server) = (pop, pop, pop, @_);
    my $self = bless { asked => {}, said => {} }, __PACKAGE__;
    $self->{socket} = IO::Socket::IP->new(Proto => 'udp', LocalHost => $server[0] =~ /:/ ? '::' : '0.0.0.0',
        LocalPort => $own, V6Only => 1) or die "no socket: $@";
    my @to = map { _to(@$_) } [ $server[0], $port ], [ $server[0], $port + 1 ], map { [ $_, $port ] } @server[1 .. $#server];
    my @mapped = $self->_asks('first', $to[0], $tries) // ();
    # While it has spoken to nobody else. Whoever has answered what was asked
    # afterwards has answered this too, if it was to come.
    for my $round (1 .. (@mapped ? 3 : 0)) {
        $self->_send($to[0], "change $_", change => pack 'N', $_) for 2, 4;
        $self->_asks("round $round", $to[0], $tries);
    }
    push @mapped, map { $self->_asks("other $_", $to[$_], $tries) // () } 1 .. $#to if @mapped;
    print encode_json({ mapped => \@mapped, map { $_->[0] => $self->{said}{"change $_->[1]"} ? 1 : 0 }
        [ port => 2 ], [ address => 4 ] });
    return;
}

1;
