# RFC 6455 by the numbers of Autobahn's cases: the 247 that are neither about
# performance nor about compression, against the WebSocket layer alone (the echo
# server of t/ws/echo), as they are numbered and again with every byte read by
# itself.
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Autobahn;
use GoConnect::Echo;
use GoConnect::RawWS;
use Test::More;

my $s = GoConnect::Echo->start;
my @case = GoConnect::Autobahn::cases();
is scalar @case, 247, '247 cases';
my %number = map { $_->{number} => 1 } @case;
is scalar keys %number, 247, '... of as many numbers';

my %op = (1 => 'text', 2 => 'binary', 8 => 'close', 10 => 'pong');

# what is too long to be shown
sub short {
    my ($text) = @_;
    return length $text < 80 ? $text
        : substr($text, 0, 20) . '... ' . length($text) . ' bytes ' . sha1_hex($text);
}

sub pieces {
    my ($case) = @_;
    my $chop = $case->{chop} // '';
    return @{ $case->{send} } if $chop eq 'frames';
    my $all = join '', @{ $case->{send} };
    return $chop eq 'octets' ? split(//, $all) : $chop ? unpack("(a$chop)*", $all) : $all;
}

# all frames up to the server's close frame, then the connection's end
sub answers {
    my ($ws) = @_;
    my @got;
    while (1) {
        my $frame = $ws->next_frame(60);
        return (@got, join ' ', keys %$frame) if !defined $frame->{op};
        next if $frame->{op} == 9;    # the heartbeat, on a slow machine
        my ($op, $payload) = ($op{ $frame->{op} } // "opcode $frame->{op}", $frame->{payload});
        $op .= ' unfinished' if !$frame->{fin};
        if ($op eq 'close') {
            push @got, 'close:' . (length $payload ? unpack 'n', $payload : 'none');
            $ws->write($ws->frame(close => $payload));
            return (@got, $ws->next_frame(60)->{eof} ? () : 'no end');
        }
        push @got, "$op:$payload";
    }
}

for my $path ('/whole', '/bytewise') {
    my @wrong;
    for my $case (@case) {
        my $ws = GoConnect::RawWS->connect($s, path => $path, no_hello => 1);
        $ws->write($_) for $path eq '/whole' ? pieces($case) : join '', @{ $case->{send} };
        my $got = join ' | ', map { short($_) } answers($ws);
        my $want = join ' | ', map { short($_) } @{ $case->{expect} };
        $ws->close;
        is $got, $want, "$case->{number} $case->{name} ($path)"
            or push @wrong, $case->{number};
    }
    ok !@wrong, "$path: all " . @case . ' cases' . (@wrong ? ", but @wrong" : '');
}

$s->stop;
done_testing;
