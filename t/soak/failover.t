# The history of a server whose database is killed, and whose synchronous
# standby takes over: nothing acknowledged is lost, the epoch is another one,
# every client fetches afresh, and no netmap goes back.
#
# SEED=N repeats a run; make soak does it in full.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::History::Faults;
use GoConnect::History::Run;
use GoConnect::Nodes;
use GoConnect::Standby;
use Test::More;
use Time::HiRes qw(sleep);

my $full = $ENV{GOCONNECT_FULL};
my $seed = $ENV{SEED} || time % 100000;
diag("SEED=$seed repeats this");

my $pair = GoConnect::Standby->start;
my $nodes = GoConnect::Nodes->start(workers => 2, cluster => $pair, bus => $ENV{GOCONNECT_BUS});
my @node = $nodes->all;
my $s = $node[0];
$nodes->allow(@GoConnect::History::Faults::PROVOKED);

# ------------------------------------------------ a commit that waits in vain

my $ada = $s->register('ada');
my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});

sub uuid { return sprintf '%08x-0000-4000-8000-%012x', rand 2**32, rand 2**40 }

# Waits until a commit of the module waits for the standby, and ends the wait.
sub cancel_wait {
    my $pid;
    $s->_await('a commit that waits for the standby', sub {
        $pid = $s->sql("SELECT max(pid) FROM pg_stat_activity WHERE usename = 'goconnect' AND wait_event = 'SyncRep'");
        return length $pid;
    });
    return $s->sql("SELECT pg_cancel_backend($pid)");
}

for my $way (qw(REST chat_send)) {
    my $key = uuid();
    my $wire = GoConnect::History::Wire->new($s);
    my ($ws) = GoConnect::History::Wire->socket($s, "token=$ada->{token}");
    my $ask = sub {
        if ($way eq 'REST') {
            my ($status, $json) = $wire->request(POST => "/v1/tenants/$t->{id}/messages",
                { content => "by $way" }, token => $ada->{token}, headers => { 'Idempotency-Key' => $key });
            return "$status " . ($json->{code} // $json->{content});
        }
        $ws->say({ type => 'chat_send', id => $key,
            data => { tenant_id => $t->{id}, content => "by $way", key => $key } });
        while (my $frame = $ws->frame(10)) {
            next if ($frame->{id} // '') ne $key;
            return $frame->{type} eq 'ok' ? "201 $frame->{data}{content}"
                : "$frame->{data}{status} $frame->{data}{code}";
        }
        return 'no answer';
    };
    $pair->freeze;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        cancel_wait();
        POSIX::_exit(0);
    }
    my $said = $ask->();
    $pair->thaw;
    waitpid $pid, 0;
    is $said, '503 outcome_unknown', "$way: a commit that did not reach the standby is not acknowledged";
    is $ask->(), "201 by $way", "$way: asked again with the same key, it is there";
    is $s->sql("SELECT count(*) FROM goconnect.messages WHERE content = 'by $way'"), 1, "$way: once";
    $_->cut for $wire, $ws;
}

# ----------------------------------------------------------------- the history

my $failovers = $full ? 3 : 1;
my $run = GoConnect::History::Run->start(nodes => \@node, seed => $seed, slices => 6 * $failovers + 1,
    each => $full ? 1000 : 250);
srand $seed;
my $faults = GoConnect::History::Faults->new(nodes => \@node, run => $run,
    kinds => [ 'kill a worker', 'deafen the nodes', 'cut a client', 'freeze a worker', 'freeze a client' ]);
my %epoch = ($s->sql('SELECT api_1._epoch()') => 1);
$run->faults(sub {
    my ($n) = @_;
    if ($n % 6 == 3) {
        my $before = $run->steps;
        $pair->kill_primary;
        sleep rand;
        $pair->promote;
        $epoch{ $s->sql('SELECT api_1._epoch()') } = 1;
        $run->in_step($before);
    } elsif ($n % 6 == 0 && $n < 6 * $failovers) {
        $pair->rebuild;
    } else {
        $faults->strike;
    }
});
$_->wait_pool for @node;
my $result = $run->finish;

is keys %epoch, 1 + $failovers, 'each failover begins another epoch';
is_deeply $result->{violations}, [], 'nothing acknowledged is lost, and who follows the rules sees it all';
my $f = $result->{figures};
is $f->{epochs}, 4 * $failovers, 'every client heard of every epoch';
cmp_ok $f->{resyncs}, '>=', $f->{epochs}, 'and fetched afresh';
diag($run->tell($result));
cmp_ok $f->{ok}, '>', 0.9 * $f->{ops}, 'most of what was asked for was done';

# ------------------------------------------- a history that a failover takes back

# Without synchronous replication acknowledged events may be gone, and their seq
# is given once more. Nobody mixes the two histories.
$pair->rebuild;
$_->wait_pool for @node;
my $topic = "tenant:$t->{id}";
my $seq = $s->sql("SELECT seq FROM goconnect.topics WHERE id = '$topic'");

sub say_it {
    my ($node, $content) = @_;
    my $end = time + 60;
    while (1) {
        my ($status, $json) = $node->api(POST => "/v1/tenants/$t->{id}/messages", { content => $content },
            token => $ada->{token});
        return $json->{seq} if $status == 201;
        die "POST: $status $json->{code}" if $status != 503 || time > $end;
        sleep 0.05;
    }
}

sub follow {
    my ($node) = @_;
    my $ws = $node->ws(token => $ada->{token});
    my $epoch = $ws->expect('hello')->{data}{epoch};
    my $at = $ws->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] })->{data}{topics}[0]{seq};
    return ($ws, $epoch, $at);
}

my @old = map { [ follow($_) ] } @node;
$pair->cut_off;
say_it($node[ $_ % 2 ], "forgotten $_") for 1 .. 5;
for my $i (0, 1) {
    is join(' ', map { $old[$i][0]->expect('chat_message')->{seq} } 1 .. 5), join(' ', $seq + 1 .. $seq + 5),
        "node $i: seen before the failover";
}
$pair->kill_primary;
$pair->promote;
is $old[$_][0]->closed(60), 1012, "node $_: a socket of the old epoch is told to come back" for 0, 1;
my @new = map { [ follow($_) ] } @node;
for my $i (0, 1) {
    isnt $new[$i][1], $old[$i][1], "node $i: the epoch is another one";
    is $new[$i][2], $seq, "node $i: seq has gone back";
}
is say_it($node[ $_ % 2 ], "remembered $_"), $seq + $_, 'a seq is given once more' for 1 .. 7;
for my $i (0, 1) {
    is join(' ', map { "$_->{seq} $_->{data}{content}" } map { $new[$i][0]->expect('chat_message') } 1 .. 7),
        join(' ', map { $seq + $_ . " remembered $_" } 1 .. 7), "node $i: the new history, all of it";
}
$_->[0]->close for @new;

$nodes->stop;
done_testing;
