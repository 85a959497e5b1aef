# permessage-deflate on the wire (RFC 7692), against the WebSocket layer alone:
# what is agreed on, what goes out, what comes in and what is refused.
use strict;
use warnings;
use Compress::Raw::Zlib;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Echo;
use GoConnect::RawWS;
use Test::More;

my $s = GoConnect::Echo->start;
my $offer = 'permessage-deflate; client_max_window_bits';
my $max = 16 * 1024 * 1024;

sub open_ws {
    my ($value, $path) = @_;
    return GoConnect::RawWS->connect($s, path => $path // '/deflate', no_hello => 1,
        headers => { 'Sec-WebSocket-Extensions' => $value });
}

sub agreed { $_[0]{head} =~ /^Sec-WebSocket-Extensions: (.*?)\r$/mi ? $1 : '' }

# a message's compressed payload, by a compressor that has seen nothing else
sub pack_up {
    my ($text, %opt) = @_;
    my ($z) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -($opt{bits} // 15),
        -Level => $opt{level} // 6, -AppendOutput => 1);
    my $out = '';
    my $step = $opt{step} // length($text) || 1;
    for (my $at = 0; $at < length $text; $at += $step) {
        my $piece = substr $text, $at, $step;
        $z->deflate($piece, $out);
        $z->flush($out, Z_SYNC_FLUSH) if $at + $step < length $text;
    }
    $z->flush($out, Z_SYNC_FLUSH);
    return substr $out, 0, -4;
}

# the next message: text, whether it was compressed, and bytes of payload
sub message {
    my ($ws) = @_;
    my ($payload, $packed, $n) = ('', undef, 0);
    while (1) {
        my $f = $ws->next_frame(60);
        return "ended: @{[ %$f ]}" if !defined $f->{op};
        return 'close ' . unpack 'n', $f->{payload} if $f->{op} == 8;
        fail 'only a first frame has the bit' if $n++ && $f->{rsv};
        $packed //= ($f->{rsv} // 0) == 4;
        $payload .= $f->{payload};
        last if $f->{fin};
    }
    return $payload if !$packed;
    my ($z) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15, -AppendOutput => 1,
        -ConsumeInput => 0);
    my $text = '';
    my $status = $z->inflate($payload . "\0\0\xff\xff", $text);
    return $status == Z_OK || $status == Z_BUF_ERROR ? $text : "broken: $status";
}

sub sends { my ($ws, $op, $payload, %opt) = @_;
    $ws->write($ws->frame($op => $payload, rsv => 4, %opt)) }

subtest 'what is agreed on' => sub {
    my $bare = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
    is agreed(open_ws($offer)), $bare, 'a browser';
    is agreed(open_ws('permessage-deflate; server_max_window_bits=15')),
        "$bare; server_max_window_bits=15", 'a named window';
    is agreed(open_ws('permessage-deflate; server_max_window_bits=10, permessage-deflate')),
        $bare, 'the second offer';
    is agreed(open_ws('permessage-deflate; server_max_window_bits=10')), '', 'a small window';
    is agreed(open_ws(undef)), '', 'no offer';
    is agreed(open_ws($offer, '/whole')), '', 'where it is off';
    my $ws = GoConnect::RawWS->connect($s, upgrade => 0);
    $ws->write($ws->request(path => '/deflate',
        headers => { 'Sec-WebSocket-Extensions' => 'permessage-deflate; a=' }));
    like $ws->head, qr{\AHTTP/1\.1 400 }, 'a broken header';
};

subtest 'messages' => sub {
    my $ws = open_ws($offer);
    my $noise = join '', map { chr int rand 256 } 1 .. 70_000;
    my %text = (empty => '', hello => 'Hello', long => 'abc' x 100_000,
        utf8 => "\xc3\xa4\xe2\x82\xac" x 1000);
    for my $name (sort keys %text) {
        sends($ws, text => pack_up($text{$name}));
        ok message($ws) eq $text{$name}, "$name, compressed";
        $ws->write($ws->frame(text => $text{$name}));
        ok message($ws) eq $text{$name}, "$name, not compressed";
    }
    for my $bits (9 .. 15) {
        sends($ws, binary => pack_up($noise, bits => $bits));
        ok message($ws) eq $noise, "noise with a window of $bits bits";
    }
    sends($ws, text => pack_up('xyz' x 5000, step => 100));
    ok message($ws) eq 'xyz' x 5000, 'many flushed blocks';
    sends($ws, text => pack_up('stored', level => 0));
    is message($ws), 'stored', 'a stored block';
    sends($ws, text => "\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    is message($ws), 'Hello', 'a block that calls itself the last (RFC 7692, 7.2.3.4)';
    sends($ws, text => "\x00");
    is message($ws), '', 'an empty message (7.2.3.6)';
    my $packed = pack_up('in pieces, ' x 500);
    my @piece = unpack '(a7)*', $packed;
    my $last = pop @piece;
    sends($ws, text => shift @piece, fin => 0);
    $ws->write($ws->frame(continuation => $_, fin => 0) . $ws->frame(ping => 'p')) for @piece;
    $ws->write($ws->frame(continuation => $last));
    for (@piece) { my $f = $ws->next_frame; $f->{op} == 10 or fail 'a pong' }
    ok message($ws) eq 'in pieces, ' x 500, 'fragments, pings between them';
};

# how the server ends it
sub ends {
    my ($name, $code, @frames) = @_;
    my $ws = open_ws($offer);
    $ws->write(join '', map { $ws->frame(@$_) } @frames);
    is $ws->ended(60), $code, $name;
}

subtest 'what is refused' => sub {
    my $hello = pack_up('Hello');
    ends('the bit on a ping', 1002, [ ping => '', rsv => 4 ]);
    ends('the bit on a close', 1002, [ close => '', rsv => 4 ]);
    ends('the bit on a continuation', 1002,
        [ text => $hello, rsv => 4, fin => 0 ], [ continuation => '', rsv => 4 ]);
    ends("another bit: $_", 1002, [ text => $hello, rsv => $_ ]) for 1, 2, 5, 6, 7;
    ends('no deflate at all', 1007, [ text => "\xff\xff\xff\xff", rsv => 4 ]);
    ends('cut short', 1007, [ text => substr(pack_up('abcdefgh' x 20), 0, 6), rsv => 4 ]);
    ends('a distance before the beginning', 1007, [ text => "\x4a\x04\x93\x00", rsv => 4 ]);
    ends('no UTF-8 inside', 1007, [ text => pack_up("a\xff"), rsv => 4 ]);
    ends('half a character inside', 1007, [ text => pack_up("a\xe2\x82"), rsv => 4 ]);
    ends('a bomb', 1009, [ binary => pack_up("\0" x ($max + 1)), rsv => 4 ]);
    my $ws = open_ws(undef);
    sends($ws, text => $hello);
    is $ws->ended, 1002, 'where nothing was agreed on';
    $ws = open_ws($offer);
    sends($ws, binary => pack_up("\0" x $max));
    is length message($ws), $max, 'the longest message goes, after all of that';
};

$s->stop;
done_testing;
