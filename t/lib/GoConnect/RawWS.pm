package GoConnect::RawWS;

# A WebSocket client that sends any bytes, right or wrong, for tests of the
# protocol itself (RFC 6455). What is well-behaved uses GoConnect::WS.

use strict;
use warnings;
use Carp qw(croak);
use IO::Select;
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use Mojo::JSON qw(decode_json);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our $TIMEOUT = 10;

our %OP = (continuation => 0, text => 1, binary => 2, close => 8, ping => 9, pong => 10);

# Connects to a GoConnect::Server; query => 'token=...', path => '/v1/ws'. Without
# upgrade => 0 it shakes hands and skips the hello.
sub connect {
    my ($class, $server, %opt) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => $server->{address}, PeerPort => $server->{port}, Timeout => 5)
        or croak "connect: $!";
    $socket->autoflush(1);
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    my $self = bless { socket => $socket, buffer => '' }, $class;
    return $self if exists $opt{upgrade} && !$opt{upgrade};
    $self->write($self->request(query => $opt{query}, path => $opt{path},
        headers => $opt{headers}) . ($opt{more} // ''));
    my $head = $self->head;
    croak "refused: $head" if $head !~ m{\AHTTP/1\.1 101 };
    $self->{head} = $head;
    if (!$opt{no_hello}) {
        my $hello = $self->json;
        croak 'no hello: ' . ($hello->{type} // '') if $hello->{type} ne 'hello';
    }
    return $self;
}

# The text of a handshake; headers => { Name => value or undef (left out) }.
sub request {
    my ($self, %opt) = @_;
    my %header = (
        Host => 'localhost', Upgrade => 'websocket', Connection => 'Upgrade',
        'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==', %{ $opt{headers} // {} });
    my $path = ($opt{path} // '/v1/ws') . (defined $opt{query} ? "?$opt{query}" : '');
    return join "\r\n", ($opt{method} // 'GET') . " $path " . ($opt{version} // 'HTTP/1.1'),
        (map { "$_: $header{$_}" } grep { defined $header{$_} } sort keys %header), '', '';
}

# A frame: first byte as [fin, rsv, opcode] by options, masked unless mask => 0.
sub frame {
    my ($class, $op, $payload, %opt) = @_;
    my $first = (($opt{fin} // 1) ? 0x80 : 0) | (($opt{rsv} // 0) << 4) | ($OP{$op} // $op);
    my $len = length $payload;
    my $mask = ($opt{mask} // 1) ? 0x80 : 0;
    my $head = $len < 126 ? pack('CC', $first, $mask | $len)
        : $len < 65536 ? pack('CCn', $first, $mask | 126, $len)
        :                pack('CCQ>', $first, $mask | 127, $len);
    return $head . $payload if !$mask;
    my $key = pack 'N', int rand 0xffffffff;
    my $pad = substr $key x (1 + $len / 4), 0, $len;
    return $head . $key . ("$payload" ^ "$pad");
}

# Writes bytes; singly => 1 one at a time.
sub write {
    my ($self, $bytes, %opt) = @_;
    local $SIG{PIPE} = 'IGNORE';
    if ($opt{singly}) {
        for my $byte (split //, $bytes) {
            defined syswrite $self->{socket}, $byte or return $self;
        }
        return $self;
    }
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        return $self if !defined $n;
        substr $bytes, 0, $n, '';
    }
    return $self;
}

sub _more {
    my ($self, $end) = @_;
    my $left = $end - time;
    return 0 if $left <= 0 || !IO::Select->new($self->{socket})->can_read($left);
    my $n = sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
    $self->{eof} = 1 if !$n;
    return $n ? 1 : 0;
}

# Everything up to the empty line.
sub head {
    my ($self) = @_;
    my $end = time + $TIMEOUT;
    while (1) {
        my $at = index $self->{buffer}, "\r\n\r\n";
        if ($at >= 0) {
            my $head = substr $self->{buffer}, 0, $at + 4, '';
            return substr $head, 0, -2;
        }
        $self->_more($end) or croak "no answer: $self->{buffer}";
    }
}

# The rest, until the server closes.
sub rest {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // $TIMEOUT);
    1 while $self->_more($end);
    return $self->{buffer};
}

# The next frame: { op, fin, payload }; or { eof => 1 }, { timeout => 1 }.
sub next_frame {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // $TIMEOUT);
    while (1) {
        my $size = $self->_frame_size;
        if (defined $size && length $self->{buffer} >= $size->[0] + $size->[1]) {
            my $head = substr $self->{buffer}, 0, $size->[0], '';
            my $first = ord $head;
            return { op => $first & 15, fin => $first >> 7,
                $first & 0x70 ? (rsv => $first >> 4 & 7) : (),
                payload => substr($self->{buffer}, 0, $size->[1], '') };
        }
        $self->_more($end) or return { $self->{eof} ? 'eof' : 'timeout' => 1 };
    }
}

sub _frame_size {
    my ($self) = @_;
    my $b = substr $self->{buffer}, 0, 10;
    return undef if length $b < 2;
    my $len = ord(substr $b, 1, 1);
    croak 'a masked frame from the server' if $len & 0x80;
    return [2, $len] if $len < 126;
    return length $b < 4 ? undef : [4, unpack 'n', substr $b, 2, 2] if $len == 126;
    return length $b < 10 ? undef : [10, unpack 'Q>', substr $b, 2, 8];
}

# The next whole message as JSON; pings are skipped.
sub json {
    my ($self) = @_;
    my $text = '';
    while (1) {
        my $frame = $self->next_frame;
        croak 'no message: ' . join ' ', %$frame if !defined $frame->{op};
        next if $frame->{op} == $OP{ping};
        croak "no text: $frame->{op}" if $frame->{op} > 1;
        $text .= $frame->{payload};
        return decode_json($text) if $frame->{fin};
    }
}

# How the server ended it: the close code, 'eof' without one, or 'timeout'.
# Messages before it are skipped.
sub ended {
    my ($self, $seconds) = @_;
    while (1) {
        my $frame = $self->next_frame($seconds);
        return 'eof' if $frame->{eof};
        return 'timeout' if $frame->{timeout};
        next if $frame->{op} != $OP{close};
        return length $frame->{payload} < 2 ? 'none' : unpack 'n', $frame->{payload};
    }
}

sub close { close $_[0]{socket} }

1;
