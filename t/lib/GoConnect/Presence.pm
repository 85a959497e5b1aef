package GoConnect::Presence;

# What sockets were told of who is here, for tests.
#
#   ok told($ws, $user->{id}, 'online');      # waits for it; takes the frame
#   is words($ws, $user->{id}), '';           # all that has come, and stays

use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use GoConnect::Contract;

our @EXPORT = qw(told words states);

# The states in a frame, which has to be of its schema: ([id, status], ...).
sub states {
    my ($frame) = @_;
    return if $frame->{type} !~ /^(?:presence|peer_status)\z/;
    my @wrong = GoConnect::Contract::check_frame($frame);
    croak "$frame->{type}: @wrong" if @wrong;
    my $data = $frame->{data};
    return map { [ $_->{user_id}, $_->{status} ] } @{ $data->{users} // [$data] }
        if $frame->{type} eq 'presence';
    return map { [ $_->{peer_id}, $_->{status} ] } @{ $data->{peers} // [$data] };
}

# The frame that says so of a user or a peer, once it has come: a minute guards
# against hanging.
sub told {
    my ($ws, $id, $status) = @_;
    return $ws->expect(sub { grep { $_->[0] eq $id && $_->[1] eq $status } states($_[0]) },
        timeout => 60);
}

# What has been said of somebody and was not taken yet, in order.
sub words {
    my ($ws, @id) = @_;
    my %wanted = map { $_ => 1 } @id;
    return join ' ', map { $_->[1] } grep { $wanted{ $_->[0] } } map { states($_) } $ws->frames;
}

1;
