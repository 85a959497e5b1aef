package GoConnect::Crowd;

# Many sockets in one process that follow one topic as clients should: whoever
# is sent away comes back when it was told to and resumes at its last seq. What
# they see is checked as it comes; violations are kept as text.
#
#   my $crowd = GoConnect::Crowd->new(server => $s, topic => 'tenant:...', seq => 7,
#       tokens => [...],              # a socket for each
#       each => sub { ... });         # runs when all that came was read
#   $crowd->run_until(sub { $crowd->live });
#   $crowd->{violations}, $crowd->{told}    # every retry_after

use strict;
use warnings;
use Carp qw(croak);
use GoConnect::RawWS;
use IO::Poll qw(POLLIN POLLHUP POLLERR);
use Mojo::JSON qw(decode_json encode_json);
use Time::HiRes qw(time);

sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, poll => IO::Poll->new, violations => [], told => [], twice => 0,
        returns => 0, of => {} }, $class;
    $self->{member} = [ map { { token => $_, seq => $opt{seq}, said => {}, due => 0 } }
        @{ $opt{tokens} } ];
    return $self;
}

sub wrong { my ($self, $what) = @_; push @{ $self->{violations} }, $what; return }

# How many are connected and subscribed, have seen all up to seq.
sub live { scalar grep { $_->{live} } @{ $_[0]{member} } }
sub in_step { my ($self, $seq) = @_; scalar grep { $_->{live} && $_->{seq} >= $seq } @{ $self->{member} } }

# Serves the sockets until check() is true; dies after so many seconds.
sub run_until {
    my ($self, $check, $seconds) = @_;
    my $end = time + ($seconds // 300);
    while (!$check->()) {
        croak 'the crowd waited in vain: ' . $self->_states if time > $end;
        $self->{each}->() if $self->{each};
        $self->_connect($_) for grep { !$_->{ws} && $_->{due} <= time } @{ $self->{member} };
        my $n = $self->{poll}->poll(0.05);
        next if $n <= 0;
        $self->_readable($self->{of}{ fileno $_ }) for $self->{poll}->handles(POLLIN | POLLHUP | POLLERR);
    }
    return $self;
}

sub _states {
    my ($self) = @_;
    my %n;
    $n{ !$_->{ws} ? 'away' : !$_->{head} ? 'connecting' : $_->{live} ? 'live' : 'asking' }++
        for @{ $self->{member} };
    my @wrong = @{ $self->{violations} };
    splice @wrong, 5 if @wrong > 5;
    return join '; ', (map { "$n{$_} $_" } sort keys %n), "$self->{returns} came back", @wrong;
}

# Everything is sent at once; what comes is told apart later.
sub _connect {
    my ($self, $m) = @_;
    my $ws = eval { GoConnect::RawWS->connect($self->{server}, upgrade => 0) };
    if (!$ws) {
        $m->{due} = time + 0.2 + rand;
        $self->{refused}++;
        return;
    }
    $ws->write($ws->request(query => "token=$m->{token}") . $ws->frame(text => encode_json({
        type => 'subscribe', id => 's', data => { topics => [ { topic => $self->{topic}, seq => $m->{seq} } ] } })));
    @$m{qw(ws head live last)} = ($ws, 0, 0, undef);
    $self->{of}{ fileno $ws->{socket} } = $m;
    $self->{poll}->mask($ws->{socket} => POLLIN);
    return;
}

sub _readable {
    my ($self, $m) = @_;
    my $ws = $m->{ws} or return;
    my $n = sysread $ws->{socket}, $ws->{buffer}, 262144, length $ws->{buffer};
    if (!$m->{head}) {
        if ($ws->{buffer} =~ s/\A(HTTP.*?)\r\n\r\n//s) {
            $m->{head} = 1;
            return $self->_lost($m, "upgrade: $1") if $1 !~ /\AHTTP\/1\.1 101 /;
        } elsif (!$n) {
            # a listener's queue that ended with its worker: as any client does
            $self->{refused}++;
            return $self->_gone($m, rand);
        } else {
            return;
        }
    }
    while ($m->{ws} && defined $ws->_frame_size
        && length $ws->{buffer} >= $ws->_frame_size->[0] + $ws->_frame_size->[1]) {
        $self->_frame($m, $ws->next_frame(0));
    }
    $self->_lost($m, 'cut off without a close frame') if $m->{ws} && !$n;
    return;
}

sub _frame {
    my ($self, $m, $frame) = @_;
    return $m->{ws}->write($m->{ws}->frame(pong => $frame->{payload})) if $frame->{op} == 9;
    return $self->_closed($m, $frame->{payload}) if $frame->{op} == 8;
    my $said = decode_json($frame->{payload});
    my ($type, $data) = @$said{qw(type data)};
    if (defined $said->{seq} && ($said->{topic} // '') eq $self->{topic}) {
        return $self->{twice}++ if $said->{seq} <= $m->{seq};
        $self->wrong("seq $said->{seq} behind $m->{seq}") if $said->{seq} != $m->{seq} + 1;
        $m->{seq} = $said->{seq};
        $m->{said}{ $data->{id} } = 1 if $type eq 'chat_message';
    } elsif ($type eq 'ok') {
        $self->wrong('refused: ' . encode_json($data)) if @{ $data->{refused} // [] };
        $m->{live} = 1;
    } elsif ($type eq 'error') {
        $m->{last} = $data;
        $self->wrong("error: $data->{code}") if $data->{code} ne 'server_restart';
    } elsif ($type eq 'resync') {
        $self->wrong('resync: ' . encode_json($said));
    }
    return;
}

sub _closed {
    my ($self, $m, $payload) = @_;
    my $code = length $payload ? unpack 'n', $payload : 'none';
    $m->{ws}->write($m->{ws}->frame(close => $payload));
    return $self->_lost($m, "closed with $code") if $code ne '1012';
    my $after = ($m->{last} // {})->{retry_after};
    return $self->_lost($m, '1012 without a last word') if !defined $after;
    push @{ $self->{told} }, $after;
    $self->{returns}++;
    return $self->_gone($m, $after + rand);
}

sub _lost {
    my ($self, $m, $why) = @_;
    $self->wrong($why);
    return $self->_gone($m, 1);
}

sub _gone {
    my ($self, $m, $wait) = @_;
    my $ws = $m->{ws};
    $self->{poll}->remove($ws->{socket});
    delete $self->{of}{ fileno $ws->{socket} };
    $ws->close;
    @$m{qw(ws live due)} = (undef, 0, time + $wait);
    return;
}

# Drops all of them.
sub end {
    my ($self) = @_;
    $_->{ws} and $self->_gone($_, 1e9) for @{ $self->{member} };
    return;
}

1;
