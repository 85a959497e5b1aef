# RFC 6455: opening handshake, frames and closing, by section; each case of
# frames whole and with its bytes delivered one by one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::RawWS;
use GoConnect::Server;
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

my $s = GoConnect::Server->start;
my $u = $s->register('ada');
my $query = "token=$u->{token}";

# --------------------------------------------------- 4.2: opening handshake

sub handshake {
    my ($name, $status, $header, %opt) = @_;
    my $ws = GoConnect::RawWS->connect($s, upgrade => 0);
    $ws->write($ws->request(query => $query, %opt));
    my $head = $ws->head;
    like $head, qr{\AHTTP/1\.1 $status }, "4.2 $name: $status";
    like $head, $header, "4.2 $name: header" if $header;
    if ($status != 101) {
        my ($len) = $head =~ /^Content-Length: (\d+)/mi;
        $ws->_more(Time::HiRes::time() + 5) while length $ws->{buffer} < ($len // 0);
        my $problem = decode_json($ws->{buffer});
        is $problem->{status}, $status, "4.2 $name: a problem object";
    }
    $ws->close;
    return;
}

handshake('granted', 101, qr/^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
handshake('token lists and case', 101, undef,
    headers => { Upgrade => 'h2c, WebSocket', Connection => 'keep-alive, upgrade' });
handshake('no Upgrade', 426, qr/^Upgrade: websocket\r$/m, headers => { Upgrade => undef });
handshake('another protocol', 426, qr/^Upgrade: websocket\r$/m, headers => { Upgrade => 'h2c' });
handshake('Connection without upgrade', 400, undef, headers => { Connection => 'keep-alive' });
handshake('no version', 426, qr/^Sec-WebSocket-Version: 13\r$/m,
    headers => { 'Sec-WebSocket-Version' => undef });
handshake('old version', 426, qr/^Sec-WebSocket-Version: 13\r$/m,
    headers => { 'Sec-WebSocket-Version' => 8 });
handshake('no key', 400, undef, headers => { 'Sec-WebSocket-Key' => undef });
handshake('short key', 400, undef, headers => { 'Sec-WebSocket-Key' => 'AAAA' });
handshake('key of 17 bytes', 400, undef,
    headers => { 'Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAAAAA=' });
handshake('key not in base64', 400, undef,
    headers => { 'Sec-WebSocket-Key' => '!!!!!!!!!!!!!!!!!!!!!!==' });
handshake('POST', 405, qr/^Allow: GET\r$/m, method => 'POST',
    headers => { 'Content-Length' => 0 });
handshake('HTTP/1.0', 426, undef, version => 'HTTP/1.0');

# ------------------------------------------------------- 5 to 7: the frames

my $R = 'GoConnect::RawWS';
sub f { return $R->frame(@_) }
sub ping_text { return encode_json({ type => 'ping', id => $_[0], data => { pad => $_[1] // '' } }) }

# a text of $len bytes that asks for an answer with the id
sub sized {
    my ($id, $len) = @_;
    my $room = $len - length ping_text($id);
    return ping_text($id, 'x' x $room);
}

my $ws;

sub each_way {
    my ($name, $bytes, $check) = @_;
    for my $singly (0, length $bytes <= 4096 ? 1 : ()) {
        $ws = $R->connect($s, query => $query);
        $ws->write($bytes, singly => $singly);
        $check->($name . ($singly ? ', byte by byte' : ''));
        $ws->close;
    }
    return;
}

sub answers {
    my ($name, $bytes, @id) = @_;
    each_way($name, $bytes, sub {
        my ($full) = @_;
        for my $id (@id) {
            my $answer = $ws->json;
            is "$answer->{type} " . ($answer->{id} // ''), "ok $id", $full;
        }
    });
    return;
}

sub ends {
    my ($name, $code, $bytes) = @_;
    each_way($name, $bytes, sub { is $ws->ended, $code, "$_[0]: $code" });
    return;
}

answers("1.1 text of $_ bytes", f(text => sized('a', $_)), 'a')
    for 60, 125, 126, 127, 128, 65535, 65536;
ends('1.1 text above the limit', 1009, f(text => 'x' x 65537));
ends('1.2 binary', 1003, f(binary => 'abc'));
each_way('1.1 empty text is no JSON', f(text => ''), sub {
    is $ws->json->{data}{code}, 'malformed_json', $_[0];
});

each_way('2.1 ping', f(ping => ''), sub {
    is_deeply $ws->next_frame, { op => 10, fin => 1, payload => '' }, $_[0];
});
each_way('2.2 ping with payload', f(ping => "\x00\xff\xfe"), sub {
    is_deeply $ws->next_frame, { op => 10, fin => 1, payload => "\x00\xff\xfe" }, $_[0];
});
each_way('2.4 ping of 125', f(ping => 'p' x 125), sub {
    is_deeply $ws->next_frame, { op => 10, fin => 1, payload => 'p' x 125 }, $_[0];
});
ends('2.5 ping of 126', 1002, f(ping => 'p' x 126));
answers('2.7 unasked pong', f(pong => 'x') . f(text => ping_text('b')), 'b');
each_way('2.10 ten pings', join('', map { f(ping => $_) } 1 .. 10), sub {
    is join(' ', map { $ws->next_frame->{payload} } 1 .. 10), '1 2 3 4 5 6 7 8 9 10', $_[0];
});

ends("3 reserved bits $_", 1002, f(text => 'x', rsv => $_)) for 1, 2, 4, 7;
ends("4.1 opcode $_", 1002, f($_ => '')) for 3 .. 7;
ends("4.2 opcode $_", 1002, f($_ => '')) for 11 .. 15;

ends('5.1 fragmented ping', 1002, f(ping => 'a', fin => 0) . f(continuation => 'b'));
ends('5.2 fragmented pong', 1002, f(pong => 'a', fin => 0) . f(continuation => 'b'));
my ($one, $two) = (substr(ping_text('c'), 0, 9), substr(ping_text('c'), 9));
answers('5.3 two fragments', f(text => $one, fin => 0) . f(continuation => $two), 'c');
each_way('5.6 a ping between fragments',
    f(text => $one, fin => 0) . f(ping => 'q') . f(continuation => $two), sub {
    is $ws->next_frame->{payload}, 'q', "$_[0]: the pong first";
    is $ws->json->{id}, 'c', "$_[0]: then the message";
});
answers('5.8 fragments of a byte',
    join('', map { f($_ ? 'continuation' : 'text' => substr(ping_text('d'), $_, 1), fin => 0) }
            0 .. length(ping_text('d')) - 1) . f(continuation => ''), 'd');
ends('5.9 continuation of nothing', 1002, f(continuation => 'a'));
ends('5.10 unfinished continuation of nothing', 1002, f(continuation => 'a', fin => 0));
ends('5.18 text inside text', 1002, f(text => 'a', fin => 0) . f(text => 'b'));
ends('5 fragments above the limit', 1009,
    f(text => 'x' x 40000, fin => 0) . f(continuation => 'x' x 40000));

my $greek = qq({"type":"ping","id":"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"});
answers('6.2 UTF-8', f(text => $greek), "\x{3ba}\x{1f79}\x{3c3}\x{3bc}\x{3b5}");
answers('6.2 UTF-8 cut inside a character',
    f(text => substr($greek, 0, 22), fin => 0) . f(continuation => substr $greek, 22),
    "\x{3ba}\x{1f79}\x{3c3}\x{3bc}\x{3b5}");
ends("6 invalid UTF-8 $_->[0]", 1007, f(text => $_->[1]))
    for [ surrogate => "\xce\xba\xed\xa0\x80" ], [ overlong => "\xc0\xaf" ],
    [ 'above U+10FFFF' => "\xf4\x90\x80\x80" ], [ 'cut short' => "\xe1\xbd" ], [ ff => "\xff" ];
ends('6.4 invalid before its end', 1007, f(text => "a\xf4\x90", fin => 0));

each_way('7.1 close is answered', f(close => pack 'n', 1000), sub {
    is $ws->ended, 1000, $_[0];
    is $ws->ended, 'eof', "$_[0], and the connection ends";
});
each_way('7.3 close without a code', f(close => ''), sub { is $ws->ended, 'none', $_[0] });
ends('7.3 close of one byte', 1002, f(close => 'x'));
ends('7.3 reason of 123 bytes', 1000, f(close => pack('n', 1000) . 'r' x 123));
ends('7.5 reason not UTF-8', 1007, f(close => pack('n', 1000) . "\xce\xba\xed\xa0\x80"));
ends("7.7 close code $_", $_, f(close => pack 'n', $_)) for 1001, 1003, 1007, 1011, 3000, 4999;
ends("7.9 close code $_", 1002, f(close => pack 'n', $_))
    for 0, 999, 1004, 1005, 1006, 1016, 2999, 5000, 65535;
each_way('7.1 nothing is read behind a close',
    f(close => pack 'n', 1000) . f(text => ping_text('e')), sub { is $ws->ended, 1000, $_[0] });

ends('5.3 unmasked frame', 1002, f(text => 'x', mask => 0));
ends('5.2 length with its highest bit', 1002, pack('CCQ>', 0x81, 0xff, 1 << 63));
ends('5.2 length beyond the limit, no payload yet', 1009, pack('CCQ>', 0x81, 0xff, 1 << 40));
ends('5.2 length of 16 bits not needed', 1002, pack('CCnN', 0x81, 0xfe, 125, 0));

# 7.1.7: what still comes does not reset our close frame away
{
    my $flood = $R->connect($s, query => $query);
    $flood->write(f(3 => '') . 'x' x 1_000_000);
    is $flood->ended, 1002, '7.1.7 the close frame arrives although more was sent';
    $flood->close;
}

# frames that come in one packet with the handshake
{
    my $early = $R->connect($s, query => $query, no_hello => 1,
        more => f(text => ping_text('early')) . f(ping => 'now'));
    my @got = map {
        my $x = $early->next_frame;
        $x->{op} == 10 ? 'pong' : decode_json($x->{payload})->{type};
    } 1 .. 3;
    is join(' ', @got), 'pong hello ok', 'frames behind the handshake are not lost';
    $early->close;
}

$s->stop;
done_testing;
