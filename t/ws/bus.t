# The bus between nodes, by each of its back ends: what goes over it, in which
# order, and that nothing depends on it but the time that events take.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Nodes;
use GoConnect::Redis;
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(sleep time);

my $redis = GoConnect::Redis->start(user => 'goconnect', password => 'a-secret-of-20-bytes',
    rules => 'resetchannels &goconnect:* -@all +auth +select +publish +subscribe');

for my $back_end ([ 'LISTEN/NOTIFY', 'notify' ], [ 'Redis', $redis->bus ],
    [ 'Redis by a UNIX socket', undef ]) {
    my ($name, $bus) = @$back_end;
    subtest $name => sub {
        my $plain = defined $bus ? undef : GoConnect::Redis->start;
        one($bus // $plain->bus(unix => 1));
    };
}

sub one {
    my ($bus) = @_;
    my $nodes = GoConnect::Nodes->start(count => 2, workers => 2, bus => $bus);
    my ($s) = $nodes->all;
    my $ada = $s->register('ada');
    my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
    my $topic = "tenant:$t->{id}";

    for my $i (0, 1) {
        $s->_await('the bus', sub { $nodes->counter($i, 'goconnect_bus_up') == 2 });
    }
    pass 'all workers of both nodes are on the bus';

    my @ws = map { $_->ws(token => $ada->{token}) } $nodes->all;
    for my $ws (@ws) {
        $ws->expect('hello');
        $ws->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] });
    }
    my $seq = 0;
    my $arrives = sub {
        my ($i, $content) = @_;
        $nodes->node($i)->must(201, POST => "/v1/tenants/$t->{id}/messages",
            { content => $content }, token => $ada->{token});
        $seq++;
        return grep { my $e = $_->expect('chat_message');
            $e->{seq} == $seq && $e->{data}{content} eq $content } @ws;
    };

    # --- events, from either node to the other
    my $heard = $nodes->counter(1, 'goconnect_bus_messages_total{direction="in"}');
    is $arrives->($_ % 2, "line $_"), 2, "an event of node $_ arrives at both" for 0, 1;
    $s->_await('the bus to be heard',
        sub { $nodes->counter(1, 'goconnect_bus_messages_total{direction="in"}') > $heard });
    pass '... by the bus';
    is $arrives->(0, "\x{1f600}" x 3900), 2, 'an event above the limit of NOTIFY arrives';
    is $arrives->(1, qq(quotes " ' \\ {} and \x{e9}\x{4e2d}, and \$1 %s)), 2, 'any text arrives whole';

    # --- what is never stored goes by the bus alone
    my ($ping, @device) = signals($nodes, $ada, $t);
    $ping->("a signal from a device on one node to one on the other $_") for 1, 2;

    # --- a flood: in order, each once
    my @pid;
    my ($writers, $each) = (4, 75);
    for my $writer (1 .. $writers) {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            my $node = $nodes->node($writer % 2);
            my $ua = $node->_new_ua;
            my $bad = grep { $ua->post($node->url . "/v1/tenants/$t->{id}/messages",
                { Authorization => "Bearer $ada->{token}" }, json => { content => "$writer $_ "
                    . 'x' x (37 * $_) })->res->code != 201 } 1 .. $each;
            POSIX::_exit($bad ? 1 : 0);
        }
        push @pid, $pid;
    }
    for my $i (0, 1) {
        my @seen = map { $ws[$i]->expect('chat_message', timeout => 60)->{seq} } 1 .. $writers * $each;
        is join(' ', @seen), join(' ', $seq + 1 .. $seq + $writers * $each),
            "a flood arrives in order, each once, at node $i";
    }
    my $failed = 0;
    for my $pid (@pid) {
        waitpid $pid, 0;
        $failed++ if $?;
    }
    is $failed, 0, '... and every write of it was acknowledged';
    $seq += $writers * $each;

    # --- reload and graceful stop with the connections open
    $nodes->node(1)->reload;
    $nodes->node(1)->_await('the bus after the reload',
        sub { $nodes->counter(1, 'goconnect_bus_up') == 2 });
    $ws[1]->closed;
    $ws[1] = $nodes->node(1)->ws(token => $ada->{token});
    $ws[1]->expect('hello');
    $ws[1]->ask(subscribe => { topics => [ { topic => $topic, seq => $seq } ] });
    is $arrives->(0, 'after a reload'), 2, 'after a reload all is as before';
    $_->close for @ws, @device;
    return $nodes->stop;
}

# Two devices with a peer each, the second connected to the second node.
sub signals {
    my ($nodes, $user, $t) = @_;
    my $s = $nodes->node(0);
    my $n = $s->must(201, POST => "/v1/tenants/$t->{id}/networks",
        { name => 'lan', cidr => '10.20.0.0/16' }, token => $user->{token});
    $s->must([ 200, 204 ], POST => "/v1/networks/$n->{id}/join", {}, token => $user->{token});
    my (@peer, @ws);
    for my $i (0, 1) {
        my $device = $s->device($user, name => "box$i");
        push @peer, $s->must([ 200, 201 ], POST => "/v1/networks/$n->{id}/peers",
            { public_key => GoConnect::Server::wg_key() }, token => $device->{token});
        push @ws, $nodes->node($i)->ws(token => $device->{token});
        $ws[-1]->expect('hello');
    }
    my $count = 0;
    return sub {
        my ($what) = @_;
        my $said = { candidates => [], count => ++$count };
        $ws[0]->ask(signal => { network_id => $n->{id}, to_peer_id => $peer[1]{id}, data => $said });
        is_deeply $ws[1]->expect('signal')->{data}{data}, $said, $what;
    }, @ws;
}

done_testing;
