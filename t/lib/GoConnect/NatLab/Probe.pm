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

# The answer to this question, tried a few times.
sub _ask {
    my ($socket, $to, @more) = @_;
    for (1 .. 4) {
        my $request = GoConnect::RelayPeer::message('binding', 'request', undef, @padded, @more);
        $socket->send($request, 0, $to);
        while (IO::Select->new($socket)->can_read(0.3)) {
            defined $socket->recv(my $text, 2000) or next;
            my $said = GoConnect::RelayPeer::read_message($text) or next;
            return $said if $said->{id} eq substr($request, 8, 12) && $said->{mapped};
        }
    }
    return;
}

# From the last port: answers of the first server, from elsewhere too; then how
# it is seen by that one's port after the given one, and by the others.
sub run {
    my ($own, $port, @server) = (pop, pop, @_);
    my $socket = IO::Socket::IP->new(Proto => 'udp', LocalHost => $server[0] =~ /:/ ? '::' : '0.0.0.0', LocalPort => $own,
        V6Only => 1) or die "no socket: $@";
    my @to = map { _to(@$_) } [ $server[0], $port ], [ $server[0], $port + 1 ], map { [ $_, $port ] } @server[1 .. $#server];
    my $asked = sub { my $said = _ask($socket, $_[0]); $said ? GoConnect::RelayPeer::address($said->{mapped}, $said->{id}) : () };
    my @mapped = $asked->($to[0]);
    # while it has spoken to nobody else
    my @elsewhere = map { my $change = pack 'N', $_; @mapped && _ask($socket, $to[0], change => $change) ? 1 : 0 } 2, 4;
    push @mapped, map { $asked->($_) } @to[1 .. $#to] if @mapped;
    print encode_json({ mapped => \@mapped, port => $elsewhere[0], address => $elsewhere[1] });
    return;
}

1;
