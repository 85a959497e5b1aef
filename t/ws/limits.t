# The limits of a connection that the WebSocket layer keeps by itself, against
# the echo server: heartbeat, output queue, control frames, and how sockets are
# sent away. What sessions limit is in session.t, messages in protocol.t.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Echo;
use GoConnect::RawWS;
use Test::More;

my $s = GoConnect::Echo->start(main => 'worker_shutdown_timeout 2s;');
my $R = 'GoConnect::RawWS';

sub socket_at { return $R->connect($s, path => "/$_[0]", no_hello => 1) }
sub f { return $R->frame(@_) }

# the close code and how many frames of an opcode came before it
sub until_closed {
    my ($ws, $op, $seconds) = @_;
    my $n = 0;
    while (1) {
        my $frame = $ws->next_frame($seconds // 60);
        return ($n, $frame->{eof} ? 'eof' : 'timeout') if !defined $frame->{op};
        return ($n, length $frame->{payload} ? unpack 'n', $frame->{payload} : 'none')
            if $frame->{op} == 8;
        $n++ if $frame->{op} == $op;
    }
}

# ---------------------------------------------------------------- heartbeat

my ($silent, $lively) = (socket_at('whole'), socket_at('whole'));
my ($pings, $strange) = (0, 0);
while ($pings < 4) {
    my $frame = $lively->next_frame(60);
    last if !defined $frame->{op};
    $frame->{op} == 9 && $frame->{payload} eq '' ? $pings++ : $strange++;
    $lively->write(f(pong => ''));
}
is "$pings $strange", '4 0', 'who answers the heartbeat is asked again and again';
is join(' ', until_closed($silent, 9)), '2 eof', 'who is silent is asked twice, then it is off line';
$lively->write(f(text => 'still here'));
is $lively->next_frame->{payload}, 'still here', 'the other one is served';
$_->close for $silent, $lively;

my $busy = socket_at('whole');
my ($asked, $told) = (0, 0);
while ($asked < 4) {
    $busy->write(f(text => 'x'));
    my $frame = $busy->next_frame(60);
    last if !defined $frame->{op};
    $frame->{op} == 9 ? $asked++ : $told++;
    select undef, undef, undef, 0.1;
}
is $asked, 4, 'whoever says anything is on line, without a pong';
$busy->close;

# ------------------------------------------------------------- output queue

my $megabytes = 12;
for my $kind ([ text => 1 ], [ binary => 2 ]) {
    my ($name, $op) = @$kind;
    my $slow = socket_at('whole');
    my $n = $megabytes * 16;
    $slow->write(f($name => 'x' x 65536)) for 1 .. $n;
    $slow->write(f(close => pack 'n', 1000));
    my ($got, $code) = until_closed($slow, $op);
    if ($name eq 'text') {
        is $code, 4008, 'a queue of more than 1 MiB: 4008';
        cmp_ok $got, '<', $n, '... and what was in it is gone';
    } else {
        is "$got $code", "$n 1000", 'what does not count may wait, all of it';
    }
    $slow->close;
}

# ----------------------------------------------------------- control frames

for my $name (qw(ping pong)) {
    my $flood = socket_at('whole');
    $flood->write(f($name => '') x 100) for 1 .. 200;
    my ($got, $code) = until_closed($flood, 10);
    is $code, 1008, "a flood of ${name}s ends with 1008";
    is $got, $name eq 'ping' ? 1000 : 0, '... after so many answers' if $got <= 1000;
    $flood->close;
}

# ------------------------------------------------------------- sent away

{
    my @many = map { socket_at('whole') } 1 .. 120;
    my $resting = socket_at('resting');
    $resting->write(f(text => 'leave'));
    is_deeply [ map { (until_closed($_, 1))[1] } @many ], [ (1012) x @many ], 'all are sent away';
    my $late = socket_at('whole');
    $late->write(f(text => 'later'));
    is $late->next_frame->{payload}, 'later', 'who comes now is served';
    $resting->write(f(ping => 'busy'));
    my $frame = $resting->next_frame;
    $frame = $resting->next_frame while $frame->{op} && $frame->{op} == 9;
    is $frame->{payload}, 'busy', 'who is in the middle of something is not';
    $resting->write(f(text => 'free'));
    is $resting->ended, 1012, '... until it is through';
    $_->close for @many, $resting, $late;
}

# a worker that leaves: the rest of its patience is worker_shutdown_timeout
{
    my @many = map { socket_at($_ % 2 ? 'whole' : 'resting') } 1 .. 60;
    my @old = keys %{ $s->worker_pids };
    kill HUP => $s->master;
    is_deeply [ map { (until_closed($_, 1))[1] } @many ], [ (1012) x @many ],
        'a worker that leaves tells all, and those that are busy when its time is over';
    $_->close for @many;
    $s->_await('the old worker to leave', sub { !grep { kill 0, $_ } @old }, 60);
    my $next = socket_at('whole');
    $next->write(f(text => 'new'));
    is $next->next_frame->{payload}, 'new', 'the new worker serves';
    kill TERM => $s->master;
    is $next->ended, 1012, 'a quick end says 1012 too';
    $next->close;
}

$s->stop;
done_testing;
