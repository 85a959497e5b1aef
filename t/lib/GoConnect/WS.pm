package GoConnect::WS;

# A WebSocket client for tests. Frames queue up; expect() takes the next one of
# a type, next() the next of any. Nothing here sleeps: it waits for frames.

use strict;
use warnings;
use Carp qw(croak);
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Time::HiRes qw(time);

our $TIMEOUT = 10;

# Connects and upgrades. With refused => 1 a failed upgrade is no error: see
# $ws->status.
sub connect {
    my ($class, $ua, $url, %opt) = @_;
    my $self = bless { ua => $ua, frames => [], raw => [], id => 0 }, $class;
    my $done;
    $ua->inactivity_timeout(0);
    $ua->websocket($url => ($opt{headers} // {}) => sub {
        my ($agent, $tx) = @_;
        $done = 1;
        $self->{status} = $tx->res->code // 0;
        $self->{response} = $tx->res;
        return if !$tx->is_websocket;
        $tx->max_websocket_size(16 * 1024 * 1024);
        $self->{tx} = $tx;
        $self->{stream} = $tx->connection;
        $tx->on(text => sub {
            my ($ws, $bytes) = @_;
            push @{ $self->{raw} }, $bytes;
            push @{ $self->{frames} }, decode_json($bytes);
        });
        $tx->on(finish => sub {
            my ($ws, $code, $reason) = @_;
            $self->{closed} = $code // 1006;
            $self->{reason} = $reason;
            delete $self->{tx};
        });
    });
    $self->_spin(sub { $done }, $opt{timeout} // $TIMEOUT) or croak "WebSocket: no answer";
    croak "WebSocket refused: $self->{status} " . $self->{response}->body
        if !$self->{tx} && !defined $self->{closed} && !$opt{refused};
    return $self;
}

sub _spin {
    my ($self, $check, $seconds) = @_;
    my $end = time + $seconds;
    my $timer = Mojo::IOLoop->recurring(0.05 => sub { });
    while (!$check->() && time < $end) {
        Mojo::IOLoop->one_tick;
    }
    Mojo::IOLoop->remove($timer);
    return $check->();
}

sub status { $_[0]{status} }
sub response { $_[0]{response} }
sub is_open { defined $_[0]{tx} }
sub frames { @{ $_[0]{frames} } }

# Sends a request object (an id is added) and returns its id.
sub send {
    my ($self, $type, $data, %more) = @_;
    croak 'the WebSocket is closed' if !$self->{tx};
    my $id = $more{id} // 'r' . ++$self->{id};
    $self->{tx}->send({ text => encode_json({ type => $type, id => $id, data => $data // {}, %more }) });
    return $id;
}

# Sends text, or with binary => 1 bytes, as they are.
sub send_raw {
    my ($self, $bytes, %opt) = @_;
    $self->{tx}->send($opt{binary} ? { binary => $bytes } : { text => $bytes });
    return;
}

# The next frame of any type; dies when none comes (undef with optional => 1).
sub next {
    my ($self, %opt) = @_;
    $self->_spin(sub { @{ $self->{frames} } || !$self->{tx} }, $opt{timeout} // $TIMEOUT);
    return shift @{ $self->{frames} } if @{ $self->{frames} };
    return undef if $opt{optional};
    croak 'no frame came' . (defined $self->{closed} ? ": closed with $self->{closed}" : '');
}

# The next frame of this type, or for which the function says yes. Others stay
# queued in their order.
sub expect {
    my ($self, $what, %opt) = @_;
    my $match = ref $what eq 'CODE' ? $what : sub { $_[0]{type} eq $what };
    my $find = sub {
        my $queue = $self->{frames};
        for my $i (0 .. $#$queue) {
            return $i + 1 if $match->($queue->[$i]);
        }
        return 0;
    };
    $self->_spin(sub { $find->() || !$self->{tx} }, $opt{timeout} // $TIMEOUT);
    if (my $at = $find->()) {
        return splice @{ $self->{frames} }, $at - 1, 1;
    }
    return undef if $opt{optional};
    croak 'the frame ' . (ref $what ? 'in question' : $what) . ' did not come'
        . (defined $self->{closed} ? "; closed with $self->{closed}" : '')
        . '; there were: ' . join ' ', map { $_->{type} } @{ $self->{frames} };
}

# Sends a request and returns the frame that answers it (ok or error).
sub ask {
    my ($self, $type, $data, %more) = @_;
    my $timeout = delete $more{timeout};
    my $id = $self->send($type, $data, %more);
    return $self->expect(sub { ($_[0]{id} // '') eq $id }, timeout => $timeout // $TIMEOUT);
}

# Waits until the server has closed; returns the close code.
sub closed {
    my ($self, $seconds) = @_;
    $self->_spin(sub { !$self->{tx} }, $seconds // $TIMEOUT);
    # our answer to the close frame, and the end of the connection
    $self->_spin(sub { !Mojo::IOLoop->stream($self->{stream}) }, 2)
        if !$self->{tx} && $self->{stream};
    return $self->{closed};
}

sub reason { $_[0]{reason} }

# Lets frames arrive for that long; for what should not come.
sub linger {
    my ($self, $seconds) = @_;
    $self->_spin(sub { !$self->{tx} }, $seconds);
    return $self;
}

# Closes from this side and waits for the end.
sub close {
    my ($self, $code) = @_;
    return $self if !$self->{tx};
    $self->{tx}->finish($code // 1000);
    $self->closed;
    return $self;
}

# Drops the connection without a close frame.
sub drop {
    my ($self) = @_;
    my $tx = delete $self->{tx} or return;
    Mojo::IOLoop->remove($tx->connection);
    delete $self->{ua};
    return;
}

1;
