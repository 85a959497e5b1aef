# Events: in order, each once, whatever happens to bells, workers and the
# database.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use IO::Socket::INET;
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(sleep time);

my $s = GoConnect::Server->start(workers => 2);
my $ada = $s->register('ada');
my $bob = $s->register('bob');
my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
my $topic = "tenant:$t->{id}";
my %token = (ada => $ada->{token});

sub say_it {
    my ($content) = @_;
    return $s->must(201, POST => "/v1/tenants/$t->{id}/messages", { content => $content },
        token => $ada->{token});
}

# A socket and the worker that it is on.
sub socket_of {
    my ($token, $seq) = @_;
    my $ws = $s->ws(token => $token);
    my $node = $ws->expect('hello')->{data}{node};
    $ws->ask(subscribe => { topics => [ { topic => $topic, seq => $seq } ] }) if @_ > 1;
    return ($ws, $node);
}

# Sockets on both workers.
sub on_both {
    my (@keep, %seen);
    for (1 .. 60) {
        my ($ws, $node) = socket_of($ada->{token});
        if ($seen{$node}++) {
            $ws->close;
            next;
        }
        push @keep, $ws;
        last if @keep == 2;
    }
    is @keep, 2, 'a socket on each of two workers';
    $_->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] }) for @keep;
    return @keep;
}

sub take {
    my ($ws, $n) = @_;
    return map { $ws->expect('chat_message') } 1 .. $n;
}

# ------------------------------------------------------------- two workers

my @ws = on_both();
say_it("line $_") for 1 .. 20;
for my $i (0, 1) {
    my @got = take($ws[$i], 20);
    is join(' ', map { $_->{seq} } @got), join(' ', 1 .. 20), "worker $i: in order, each once";
    is $got[19]{data}{content}, 'line 20', "worker $i: the events themselves";
}

# ------------------------------------------------- many writers at one topic

my $writers = 8;
my $each = 25;
my @pid;
for my $writer (1 .. $writers) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my $ok = 1;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port});
        for my $i (1 .. $each) {
            my $body = encode_json({ content => "$writer $i" });
            print $socket "POST /v1/tenants/$t->{id}/messages HTTP/1.1\r\nHost: x\r\n"
                . "Authorization: Bearer $ada->{token}\r\nContent-Type: application/json\r\n"
                . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
            my $head = '';
            $head .= readline $socket while $head !~ /\r\n\r\n\z/;
            my ($len) = $head =~ /^content-length: (\d+)/mi;
            read $socket, my $rest, $len // 0;
            $ok = 0 if $head !~ m{^HTTP/1.1 201};
        }
        POSIX::_exit($ok ? 0 : 1);
    }
    push @pid, $pid;
}
# a third socket joins in the middle and replays
my ($late) = socket_of($ada->{token}, 20);
my $total = $writers * $each;
for my $ws (@ws, $late) {
    is join(' ', map { $_->{seq} } take($ws, $total)), join(' ', 21 .. 20 + $total),
        "$total events of $writers writers without a hole";
}
my $failed = 0;
for my $pid (@pid) {
    waitpid $pid, 0;
    $failed++ if $?;
}
is $failed, 0, 'all were acknowledged';
my $seq = 20 + $total;
is $s->sql("SELECT seq FROM goconnect.topics WHERE id = '$topic'"), $seq, 'seq is what it should be';

# ------------------------------------------------------------------- replay

my $ws = $s->ws(token => $ada->{token});
$ws->expect('hello');
my $answer = $ws->ask(subscribe => { topics => [ { topic => $topic, seq => $seq - 5 } ] });
is_deeply $answer->{data}{topics}, [ { topic => $topic, seq => $seq } ],
    'the answer says where the topic is';
is join(' ', map { $_->{seq} } take($ws, 5)), join(' ', $seq - 4 .. $seq), 'replay from a seq';
say_it('after the replay');
is $ws->expect('chat_message')->{seq}, ++$seq, 'then live';
$answer = $ws->ask(subscribe => { topics => [ { topic => $topic, seq => $seq - 1 } ] });
is $ws->expect('chat_message')->{seq}, $seq, 'subscribing again replays again';
say_it('once');
is $ws->expect('chat_message')->{seq}, ++$seq, 'and does not double what is live';
$ws->ask('ping');
ok !(grep { $_->{type} ne 'presence' } $ws->frames), 'nothing comes twice';

$answer = $ws->ask(subscribe => { topics => [ { topic => $topic, seq => $seq + 1000 } ] });
is $ws->expect('resync')->{data}{reason}, 'expired', 'a seq from the future: resync';
$s->sql("DELETE FROM goconnect.events WHERE topic = '$topic' AND seq <= $seq - 3");
$answer = $ws->ask(subscribe => { topics => [ { topic => $topic, seq => $seq - 10 } ] });
is $ws->expect('resync')->{topic}, $topic, 'events that are gone: resync';
say_it('after resync');
is $ws->expect('chat_message')->{seq}, ++$seq, 'and live again';
$_->close for $late, $ws;
take($_, 3) for @ws;

# --------------------------------------------- a frame too long for a bell

say_it("\x{1f600}" x 3900);
$seq++;
is length((take($_, 1))[0]{data}{content}), 3900, 'a long line arrives on either worker' for @ws;

# ------------------------------------------------------- the bus is killed

my $listeners = "FROM pg_stat_activity WHERE datname = current_database() "
    . "AND usename = 'goconnect' AND query ~ '^(LISTEN|SELECT 1)'";
is $s->sql("SELECT count(pg_terminate_backend(pid)) $listeners"), 2, 'both LISTEN connections are killed';
say_it('without a bell');
$seq++;
for my $ws (@ws) {
    is $ws->expect('chat_message')->{seq}, $seq, 'the event arrives all the same';
}
$s->_await('the bus', sub { $s->sql("SELECT count(*) $listeners") == 2 });
pass 'the bus comes back';

# events that nobody rang for: written behind the module's back
$s->sql("BEGIN; SET search_path = goconnect; "
    . "SELECT api_1._publish(ARRAY[api_1._event('$topic', 'member', '{}'::json)]); COMMIT")
    for 1 .. 3;
for my $ws (@ws) {
    is join(' ', map { $ws->expect('member')->{seq} } 1 .. 3), join(' ', $seq + 1 .. $seq + 3),
        'the sweep finds what nobody rang for';
}
$seq += 3;

# a hole that nothing fills: who was there has to fetch afresh, who came later
# and was told more has missed nothing, and is not sent back
$s->sql("BEGIN; SELECT api_1._publish(array_agg(api_1._event('$topic', 'member', '{}'::json))) "
    . "FROM generate_series(1, 5); DELETE FROM goconnect.events WHERE topic = '$topic' AND seq <= $seq + 3; COMMIT");
my ($newest) = socket_of($ada->{token}, undef);
for my $ws (@ws) {
    is $ws->expect('resync')->{seq}, $seq + 3, 'a hole that nothing fills: resync';
    is join(' ', map { $ws->expect('member')->{seq} } 1, 2), join(' ', $seq + 4, $seq + 5), 'and on from there';
}
say_it('behind the hole');
$seq += 6;
is $_->expect('chat_message')->{seq}, $seq, 'live again' for @ws, $newest;
is scalar(grep { $_->{type} eq 'resync' } $newest->frames), 0, 'who came later is not sent back';
$newest->close;

# bells that lie, repeat and come out of order change nothing
my $forged = encode_json({ type => 'chat_message', topic => $topic, seq => $seq, data => {} });
$s->sql("NOTIFY goconnect, '$_'")
    for $forged, '{', 'nonsense', '{"topic":"' . $topic . '"}', '{"topic":"' . $topic . '","seq":3}',
    encode_json({ topic => $topic, seq => $seq + 1 });
say_it('still in order');
is $_->expect('chat_message')->{seq}, $seq + 1, 'a repeated bell is not heard' for @ws;
$seq++;

# ------------------------------------------------ a worker dies by kill -9

my %open = map { $_ => 1 } 0, 1;
say_it("before $_") for 1 .. 3;
$s->kill_worker('KILL');
say_it("after $_") for 1 .. 3;
for my $i (0, 1) {
    my @seen;
    while (my $event = $ws[$i]->expect('chat_message', optional => 1, timeout => 2)) {
        push @seen, $event->{seq};
        last if @seen == 6;
    }
    if (!$ws[$i]->is_open) {
        my $last = @seen ? $seen[-1] : $seq;
        my ($back) = socket_of($ada->{token}, $last);
        push @seen, map { $_->{seq} } take($back, 6 - @seen);
        $ws[$i] = $back;
    }
    is join(' ', @seen), join(' ', $seq + 1 .. $seq + 6), 'nothing is lost with a worker';
}
$seq += 6;

$_->close for @ws;
$s->stop;
done_testing;
