package GoConnect::Autobahn;

# The cases of Autobahn's test suite that are neither about performance (9.*)
# nor about compression (12.*, 13.*), by its numbers: what a client sends to an
# echo server, and all that must come back.
#
# A case is { number, name, send => [frame, ...], expect => [...], chop }. Frames
# are bytes. expect has 'text:...', 'binary:...', 'pong:...' and, at its end,
# 'close:CODE' ('close:none' for a close frame without one). chop says how the
# bytes are cut when they are sent: 'frames', 'octets' or a number of bytes;
# undef is all at once.

use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use GoConnect::RawWS;

my @case;

sub cases {
    if (!@case) {
        _texts(); _pings(); _reserved_bits(); _opcodes(); _fragments();
        _utf8(); _utf8_sequences(); _closing(); _close_codes(); _automatic();
    }
    return @case;
}

sub f { return GoConnect::RawWS->frame(@_) }

my $normal = pack 'n', 1000;

# What ends well ends with our close frame and its answer.
sub good {
    my ($number, $name, $send, $expect, %opt) = @_;
    push @case, { number => $number, name => $name, send => [ @$send, f(close => $normal) ],
        expect => [ @$expect, 'close:1000' ], %opt };
    return;
}

sub bad {
    my ($number, $name, $code, $send, $expect, %opt) = @_;
    push @case, { number => $number, name => $name, send => $send,
        expect => [ @{ $expect // [] }, "close:$code" ], %opt };
    return;
}

# ------------------------------------------------------------------- 1 to 4

sub _texts {
    for my $kind ([ 1, text => '*' ], [ 2, binary => "\xfe" ]) {
        my ($group, $op, $byte) = @$kind;
        my $i = 0;
        for my $len (0, 125, 126, 127, 128, 65535, 65536, 65536) {
            $i++;
            my $payload = $byte x $len;
            good("1.$group.$i", "$op of $len bytes", [ f($op => $payload) ], [ "$op:$payload" ],
                chop => $i == 8 ? 997 : undef);
        }
    }
    return;
}

sub _pings {
    my $binary = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    my $long = "\xfe" x 125;
    good('2.1', 'ping', [ f(ping => '') ], ['pong:']);
    good('2.2', 'ping with text', [ f(ping => 'Hello, world!') ], ['pong:Hello, world!']);
    good('2.3', 'ping with bytes', [ f(ping => $binary) ], ["pong:$binary"]);
    good('2.4', 'ping of 125 bytes', [ f(ping => $long) ], ["pong:$long"]);
    bad('2.5', 'ping of 126 bytes', 1002, [ f(ping => "\xfe" x 126) ]);
    good('2.6', 'ping of 125 bytes, by octets', [ f(ping => $long) ], ["pong:$long"],
        chop => 'octets');
    good('2.7', 'unasked pong', [ f(pong => '') ], []);
    good('2.8', 'unasked pong with payload', [ f(pong => 'unasked') ], []);
    good('2.9', 'unasked pong, then a ping', [ f(pong => 'unasked'), f(ping => 'asked') ],
        ['pong:asked']);
    for my $chop ([ 10, undef ], [ 11, 'octets' ]) {
        good("2.$chop->[0]", 'ten pings' . ($chop->[1] ? ', by octets' : ''),
            [ map { f(ping => "payload-$_") } 0 .. 9 ], [ map { "pong:payload-$_" } 0 .. 9 ],
            chop => $chop->[1]);
    }
    return;
}

sub _reserved_bits {
    my $chop = { 3 => 'frames', 4 => 'octets' };
    my $wrong = { 5 => f(binary => "\x00\xff\xfe", rsv => 5), 6 => f(ping => 'x', rsv => 6),
        7 => f(close => $normal, rsv => 7) };
    bad('3.1', 'text with reserved bits 1', 1002, [ f(text => 'Hello', rsv => 1) ]);
    bad("3.$_", "reserved bits $_ after a text", 1002,
        [ f(text => 'Hello'), f(text => 'Hello', rsv => $_), f(ping => '') ], ['text:Hello'],
        chop => $chop->{$_}) for 2 .. 4;
    bad("3.$_", "reserved bits $_", 1002, [ $wrong->{$_} ]) for 5 .. 7;
    return;
}

sub _opcodes {
    for my $group ([ 1, 3 ], [ 2, 11 ]) {
        my ($kind, $first) = @$group;
        for my $i (0 .. 4) {
            my $op = $first + $i;
            my $payload = $i % 2 ? 'payload' : '';
            my @frame = f($op => $payload);
            @frame = (f(text => 'Hello'), @frame, f(ping => '')) if $i >= 2;
            bad("4.$kind." . ($i + 1), "opcode $op", 1002, \@frame,
                $i >= 2 ? ['text:Hello'] : [], chop => $i == 4 ? 'octets' : undef);
        }
    }
    return;
}

# ------------------------------------------------------------------------ 5

my @chops = ([ undef, '' ], [ 'frames', ', by frames' ], [ 'octets', ', by octets' ]);

# a case and its two other deliveries
sub thrice {
    my ($first, $make) = @_;
    for my $i (0 .. 2) {
        $make->('5.' . ($first + $i), $chops[$i][1], chop => $chops[$i][0]);
    }
    return;
}

sub _fragments {
    my ($a, $b) = ('fragment1', 'fragment2');
    my @two = (f(text => $a, fin => 0), f(continuation => $b));
    bad("5.$_->[0]", "$_->[1] in two fragments", 1002,
        [ f($_->[1] => $a, fin => 0), f(continuation => $b) ]) for [ 1, 'ping' ], [ 2, 'pong' ];
    thrice(3, sub {
        my ($n, $how, @opt) = @_;
        good($n, "text in two fragments$how", [@two], ["text:$a$b"], @opt);
    });
    thrice(6, sub {
        my ($n, $how, @opt) = @_;
        good($n, "a ping between fragments$how", [ $two[0], f(ping => 'ping'), $two[1] ],
            [ 'pong:ping', "text:$a$b" ], @opt);
    });
    for my $fin (1, 0) {
        thrice($fin ? 9 : 12, sub {
            my ($n, $how, @opt) = @_;
            bad($n, "continuation (FIN $fin) of nothing$how", 1002,
                [ f(continuation => 'nothing', fin => $fin), f(text => 'Hello') ], [], @opt);
        });
    }
    bad('5.15', 'continuation of nothing behind a whole text', 1002,
        [ @two, f(continuation => $a, fin => 0), f(text => $b) ], ["text:$a$b"]);
    for my $fin (0, 1) {
        bad('5.' . (16 + $fin), "twice: continuation (FIN $fin) of nothing, then a text", 1002,
            [ map { (f(continuation => $a, fin => $fin), f(text => $b)) } 1, 2 ]);
    }
    bad('5.18', 'both fragments say text', 1002, [ f(text => $a, fin => 0), f(text => $b) ]);
    my @five = (f(text => 'f1', fin => 0), f(continuation => 'f2', fin => 0), f(ping => 'p1'),
        f(continuation => 'f3', fin => 0), f(continuation => 'f4', fin => 0), f(ping => 'p2'),
        f(continuation => 'f5'));
    for my $i (0, 1) {
        good('5.' . (19 + $i), "five fragments and two pings$chops[$i][1]", [@five],
            [ 'pong:p1', 'pong:p2', 'text:f1f2f3f4f5' ], chop => $chops[$i][0]);
    }
    return;
}

# ------------------------------------------------------------------------ 6

# a message in fragments with these payloads
sub fragmented {
    my (@part) = @_;
    return map {
        f($_ ? 'continuation' : 'text' => $part[$_], fin => $_ == $#part)
    } 0 .. $#part;
}

my $kosme = encode_utf8("\x{3ba}\x{1f79}\x{3c3}\x{3bc}\x{3b5}");

sub _utf8 {
    my $mixed = encode_utf8('Hello-µ@ßöäüàá-UTF-8!!');
    my $invalid = "$kosme\xed\xa0\x80edited";
    good('6.1.1', 'text of no bytes', [ f(text => '') ], ['text:']);
    good('6.1.2', 'three empty fragments', [ fragmented('', '', '') ], ['text:']);
    good('6.1.3', 'an empty fragment on each side', [ fragmented('', 'middle', '') ],
        ['text:middle']);
    good('6.2.1', 'valid UTF-8', [ f(text => $mixed) ], ["text:$mixed"]);
    good('6.2.2', 'valid UTF-8, cut between characters',
        [ fragmented(substr($mixed, 0, 12), substr $mixed, 12) ], ["text:$mixed"]);
    good('6.2.3', 'valid UTF-8 in fragments of an octet', [ fragmented(split //, $mixed) ],
        ["text:$mixed"]);
    good('6.2.4', 'Greek in fragments of an octet', [ fragmented(split //, $kosme) ],
        ["text:$kosme"]);
    bad('6.3.1', 'invalid UTF-8', 1007, [ f(text => $invalid) ]);
    bad('6.3.2', 'invalid UTF-8 in fragments of an octet', 1007,
        [ fragmented(split //, $invalid) ]);
    # refused at the first octet that cannot be: the rest is never sent
    my $over = "\xf4\x90\x80\x80";
    bad('6.4.1', 'fails in the fragment that is wrong', 1007,
        [ (fragmented($kosme, $over, 'edited'))[ 0, 1 ] ]);
    bad('6.4.2', 'fails at the octet that is wrong', 1007,
        [ (fragmented("$kosme\xf4", "\x90", '', ''))[ 0, 1 ] ]);
    my $whole = f(text => "$kosme${over}edited");
    my $head = length($whole) - length "$kosme${over}edited";
    bad('6.4.3', 'fails behind the wrong character, within a frame', 1007,
        [ substr $whole, 0, $head + length($kosme) + 4 ]);
    bad('6.4.4', 'fails behind the wrong octet, within a frame', 1007,
        [ substr $whole, 0, $head + length($kosme) + 2 ]);
    return;
}

sub hex_bytes { return map { pack 'H*', s/ //gr } @_ }

# group => [valid?, texts]
sub _sequences {
    my $text = 'Hello-µ@ßöäüàá-UTF-8!!';
    my %at = map { $_ => 1 } 2, 5, 7, 9, 11;    # where a character ends
    my @continuation = map { join '', map { $_ % 2 ? "\xbf" : "\x80" } 0 .. $_ - 1 } 2 .. 6;
    my @incomplete = hex_bytes('c0', 'e0 80', 'f0 80 80', 'f8 80 80 80', 'fc 80 80 80 80',
        'df', 'ef bf', 'f7 bf bf', 'fb bf bf bf', 'fd bf bf bf bf');
    my @edge = (0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff);
    my $wide = sub { pack 'C3', 0xe0 | $_[0] >> 12, 0x80 | $_[0] >> 6 & 63, 0x80 | $_[0] & 63 };
    my @high = map { $wide->($_) } @edge[ 0 .. 3 ];
    my @low = map { $wide->($_) } 0xdc00, 0xdfff;
    return (
        [ 5, 1, map { encode_utf8($_) } $text, "\x{20ac}", "\x{10348}", "\x{5d0}\x{5d1}",
            "a\x{300}\x{1f600}z" ],
        [ 6, [ map { $at{$_} // 0 } 1 .. 11 ], map { substr $kosme, 0, $_ } 1 .. 11 ],
        [ 7, 1, hex_bytes('00', 'c2 80', 'e0 a0 80', 'f0 90 80 80') ],
        [ 8, 0, hex_bytes('f8 88 80 80 80', 'fc 84 80 80 80 80') ],
        [ 9, 1, hex_bytes('7f', 'df bf', 'ef bf bf', 'f4 8f bf bf') ],
        [ 10, 0, hex_bytes('f7 bf bf bf', 'fb bf bf bf bf', 'fd bf bf bf bf bf') ],
        [ 11, [ 1, 1, 1, 1, 0 ],
            hex_bytes('ed 9f bf', 'ee 80 80', 'ef bf bd', 'f4 8f bf bf', 'f4 90 80 80') ],
        [ 12, 0, "\x80", "\xbf", @continuation, join '', map { chr } 0x80 .. 0xbf ],
        [ 13, 0, map { my ($from, $to) = @$_; join '', map { chr($_) . ' ' } $from .. $to }
            [ 0xc0, 0xdf ], [ 0xe0, 0xef ], [ 0xf0, 0xf7 ], [ 0xf8, 0xfb ], [ 0xfc, 0xfd ] ],
        [ 14, 0, @incomplete ],
        [ 15, 0, join '', @incomplete ],
        [ 16, 0, "\xfe", "\xff", "\xfe\xfe\xff\xff" ],
        [ 17, 0, hex_bytes('c0 af', 'e0 80 af', 'f0 80 80 af', 'f8 80 80 80 af',
            'fc 80 80 80 80 af') ],
        [ 18, 0, hex_bytes('c1 bf', 'e0 9f bf', 'f0 8f bf bf', 'f8 87 bf bf bf',
            'fc 83 bf bf bf bf') ],
        [ 19, 0, hex_bytes('c0 80', 'e0 80 80', 'f0 80 80 80', 'f8 80 80 80 80',
            'fc 80 80 80 80 80') ],
        [ 20, 0, map { $wide->($_) } @edge ],
        [ 21, 0, map { my $high = $_; map { "$high$_" } @low } @high ],
        [ 22, 1, map { my $plane = $_;
            map { no warnings 'nonchar'; encode_utf8(chr($plane << 16 | $_)) } 0xfffe, 0xffff
        } 0 .. 16 ],
        [ 23, 1, map { $wide->($_) } 0xfff9 .. 0xffff ],
    );
}

sub _utf8_sequences {
    for my $group (_sequences()) {
        my ($number, $valid, @text) = @$group;
        for my $i (0 .. $#text) {
            my $n = "6.$number." . ($i + 1);
            my $hex = join ' ', unpack '(H2)*', $text[$i];
            $hex = substr($hex, 0, 32) . '...' if length $hex > 35;
            if (ref $valid ? $valid->[$i] : $valid) {
                good($n, "UTF-8 $hex", [ f(text => $text[$i]) ], ["text:$text[$i]"]);
            } else {
                bad($n, "not UTF-8 $hex", 1007, [ f(text => $text[$i]) ]);
            }
        }
    }
    return;
}

# ------------------------------------------------------------------ 7 and 10

sub _closing {
    my $close = f(close => $normal);
    my $big = '*' x 262144;
    bad('7.1.1', 'a text, then close', 1000, [ f(text => 'Hello'), $close ], ['text:Hello']);
    bad('7.1.2', 'close twice', 1000, [ $close, $close ]);
    bad('7.1.3', 'a ping behind close', 1000, [ $close, f(ping => 'late') ]);
    bad('7.1.4', 'a text behind close', 1000, [ $close, f(text => 'late') ]);
    bad('7.1.5', 'close between fragments', 1000,
        [ f(text => 'one', fin => 0), $close, f(continuation => 'two') ]);
    bad('7.1.6', '256 KiB, close, a ping', 1000, [ f(text => $big), $close, f(ping => 'late') ],
        ["text:$big"]);
    bad('7.3.1', 'close without payload', 'none', [ f(close => '') ]);
    bad('7.3.2', 'close of one byte', 1002, [ f(close => 'a') ]);
    bad('7.3.3', 'close with a code', 1000, [$close]);
    bad('7.3.4', 'close with a reason', 1000, [ f(close => "${normal}bye") ]);
    bad('7.3.5', 'close with a reason of 123 bytes', 1000, [ f(close => $normal . '*' x 123) ]);
    bad('7.3.6', 'close with a reason of 124 bytes', 1002, [ f(close => $normal . '*' x 124) ]);
    bad('7.5.1', 'close with a reason that is not UTF-8', 1007,
        [ f(close => "$normal$kosme\xed\xa0\x80edited") ]);
    return;
}

sub _close_codes {
    for my $group (
        [ 7, 1, 1000 .. 1003, 1007 .. 1011, 3000, 3999, 4000, 4999 ],
        [ 9, 0, 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999 ],
        [ 13, 0, 5000, 65535 ]) {
        my ($number, $valid, @code) = @$group;
        bad("7.$number." . ($_ + 1), "close code $code[$_]", $valid ? $code[$_] : 1002,
            [ f(close => pack 'n', $code[$_]) ]) for 0 .. $#code;
    }
    return;
}

sub _automatic {
    my $text = '*' x 65536;
    good('10.1.1', '64 KiB in fragments of 1300 bytes',
        [ fragmented(unpack '(a1300)*', $text) ], ["text:$text"]);
    return;
}

1;
