package GoConnect::History::Wire;

# HTTP and WebSocket as a client in a process of its own speaks them, one thing
# at a time, with an end to every wait. What fails is told as a value: a history
# has to know whether a request was sent.

use strict;
use warnings;
use GoConnect::RawWS;
use IO::Select;
use IO::Socket::INET;
use Mojo::JSON qw(decode_json encode_json);
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# node: { address, port }
sub new {
    my ($class, $node, %opt) = @_;
    return bless { node => $node, wait => $opt{wait} // 10 }, $class;
}

# The connection goes without a word (RST).
sub cut {
    my ($self) = @_;
    my $socket = delete $self->{socket} or return;
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    close $socket;
    return;
}

sub _connect {
    my ($self) = @_;
    return 1 if $self->{socket};
    $self->{socket} = IO::Socket::INET->new(PeerAddr => $self->{node}{address},
        PeerPort => $self->{node}{port}, Timeout => $self->{wait}) or return 0;
    setsockopt $self->{socket}, IPPROTO_TCP, TCP_NODELAY, 1;
    return 1;
}

# One request: (status, json). Status 0: it cannot have been sent; -1: it was
# sent, and no answer came. cut => 1 leaves before the answer.
sub request {
    my ($self, $method, $path, $body, %opt) = @_;
    $self->_connect or return (0, undef);
    my $json = defined $body ? encode_json($body) : '';
    my %header = (Host => 'localhost', 'Content-Length' => length $json,
        defined $body ? ('Content-Type' => 'application/json') : (),
        defined $opt{token} ? (Authorization => "Bearer $opt{token}") : (),
        %{ $opt{headers} // {} });
    my $text = join "\r\n", "$method $path HTTP/1.1", (map { "$_: $header{$_}" } sort keys %header), '', $json;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = syswrite $self->{socket}, $text;
    if (!defined $sent || $sent != length $text || $opt{cut}) {
        $self->cut;
        return (-1, undef);
    }
    my ($status, $answer) = $self->_answer;
    $self->cut if $status < 0;
    return ($status, $answer);
}

sub _answer {
    my ($self) = @_;
    my $end = now() + $self->{wait};
    my $got = '';
    while (1) {
        if ($got =~ /\A(.*?\r\n)\r\n/s) {
            my $head = $1;
            my ($length) = $head =~ /^content-length: (\d+)/mi;
            my $rest = substr $got, 2 + length $head;
            if (defined $length ? length $rest >= $length : $head =~ m{\AHTTP/1\.1 204}) {
                my ($status) = $head =~ m{\AHTTP/1\.1 (\d+)} or return (-1, undef);
                $self->cut if $head =~ /^connection: close/mi;
                return ($status, length $rest ? eval { decode_json($rest) } : undef);
            }
            return (-1, undef) if !defined $length;
        }
        my $left = $end - now();
        return (-1, undef) if $left <= 0 || !IO::Select->new($self->{socket})->can_read($left);
        sysread $self->{socket}, $got, 65536, length $got or return (-1, undef);
    }
}

# ------------------------------------------------------------------ WebSocket

# A socket that has said hello: (it, hello), or nothing.
sub socket {
    my ($class, $node, $query, %opt) = @_;
    my $self = bless { node => $node, wait => $opt{wait} // 10, text => '' }, $class;
    my $raw = eval {
        local $GoConnect::RawWS::TIMEOUT = $self->{wait};
        GoConnect::RawWS->connect($node, query => $query, no_hello => 1);
    } or return;
    @$self{qw(raw socket)} = ($raw, $raw->{socket});
    my $hello = $self->frame($self->{wait});
    return ($self, $hello) if $hello && $hello->{type} eq 'hello';
    $self->cut;
    return;
}

sub say {
    my ($self, $message) = @_;
    $self->{raw}->write(GoConnect::RawWS->frame(text => encode_json($message)));
    return;
}

# The next message, or undef: none came (still open), or the end (closed).
sub frame {
    my ($self, $seconds) = @_;
    my $end = now() + $seconds;
    while ($self->{socket}) {
        my $left = $end - now();
        my $frame = $self->{raw}->next_frame($left > 0 ? $left : 0);
        return undef if $frame->{timeout};
        if ($frame->{eof} || $frame->{op} == $GoConnect::RawWS::OP{close}) {
            $self->{code} = $frame->{eof} ? 'eof' : unpack 'n', $frame->{payload};
            $self->cut;
            return undef;
        }
        if ($frame->{op} == $GoConnect::RawWS::OP{ping}) {
            $self->{raw}->write(GoConnect::RawWS->frame(pong => $frame->{payload}));
            next;
        }
        next if $frame->{op} == $GoConnect::RawWS::OP{pong};
        $self->{text} .= $frame->{payload};
        next if !$frame->{fin};
        my $text = $self->{text};
        $self->{text} = '';
        return decode_json($text);
    }
    return undef;
}

sub open { return defined $_[0]{socket} }
sub code { return $_[0]{code} // 'cut' }

1;
