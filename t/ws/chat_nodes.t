# Chat over two nodes, by each bus: what is said on one is heard on the other,
# one key is one message wherever it comes in, and what is never stored (who is
# typing, who is ready for a key) finds its way too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Nodes;
use GoConnect::Redis;
use GoConnect::World;
use Test::More;

my $redis = GoConnect::Redis->start(password => 'a-secret-of-20-bytes');

my $uuids = 0;
sub uuid { return sprintf '%08x-0000-4000-8000-%012x', ++$uuids, $$ }

for my $bus ([ 'LISTEN/NOTIFY', 'notify' ], [ 'Redis', $redis->bus ]) {
    subtest $bus->[0] => sub { two_nodes($bus->[1]) };
}

sub two_nodes {
    my ($bus) = @_;
    my $nodes = GoConnect::Nodes->start(count => 2, workers => 2, bus => $bus);
    my @node = $nodes->all;
    my $w = GoConnect::World->new($node[0]);
    my $home = $w->{home};
    my %id = map { $_ => $w->{user}{$_}{id} } keys %{ $w->{user} };
    my $topic = "network:$home->{network}";
    for my $i (0, 1) {
        $node[$i]->_await('the bus', sub { $nodes->counter($i, 'goconnect_bus_up') == 2 });
    }

    my @open;
    my $on = sub {
        my ($i, $who, @topics) = @_;
        my $ws = $node[$i]->ws(token => $w->token($who));
        $ws->expect('hello');
        $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topics ] }) if @topics;
        push @open, $ws;
        return $ws;
    };
    my @reader = map { $on->($_, 'owner', $topic) } 0, 1;
    my @writer = map { $on->($_, 'member', "user:$id{member}") } 0, 1;

    # typing: on either node, told on both
    my @who = qw(member moderator);
    for my $i (0, 1) {
        my $ws = $i ? $on->($i, $who[$i]) : $writer[$i];
        is $ws->ask(typing => { network_id => $home->{network} })->{type}, 'ok', "$who[$i] types on node $i";
        for my $reader (@reader) {
            my $frame = $reader->expect(sub { $_[0]{type} eq 'typing'
                && grep { $_->{user_id} eq $id{ $who[$i] } } @{ $_[0]{data}{users} } }, timeout => 60);
            is $frame->{topic}, $topic, '... which is told on both';
        }
    }

    # one key, two nodes at once and one after another, over either way
    my $key = uuid();
    my %say = (network_id => $home->{network}, content => 'once', key => $key);
    $_->send(chat_send => \%say) for @writer;
    my @said = map { $_->expect('ok')->{data} } @writer;
    is_deeply $said[0], $said[1], 'one key on both nodes at once: one message';
    my (undef, $again) = $node[1]->api(POST => "/v1/networks/$home->{network}/messages", { content => 'once' },
        token => $w->token('member'), headers => { 'Idempotency-Key' => $key });
    is_deeply $again, $said[0], '... and once more by a POST to the other';
    for my $reader (@reader) {
        is $reader->expect('chat_message')->{data}{id}, $said[0]{id}, '... which both tell';
    }

    # changed on one, deleted on the other
    $node[0]->must(200, PATCH => "/v1/messages/$said[0]{id}", { content => 'changed' }, token => $w->token('member'));
    $node[1]->must(204, DELETE => "/v1/messages/$said[0]{id}", undef, token => $w->token('member'));
    for my $reader (@reader) {
        is_deeply [ map { $_->{seq} - $said[0]{seq} } map { $reader->expect('chat_message') } 1, 2 ], [ 1, 2 ],
            'changed on one node, deleted on the other: both tell it in order';
        is scalar(grep { $_->{type} eq 'chat_message' } $reader->frames), 0, '... once';
    }

    # read on one, told on the other
    my $mark = $node[0]->must(200, PUT => "/v1/networks/$home->{network}/read-mark", { number => 1 },
        token => $w->token('member'));
    is_deeply $_->expect('read_mark')->{data}, $mark, 'what is read on one node is read on both' for @writer;
    my ($of) = grep { ($_->{network_id} // '') eq $home->{network} }
        @{ $node[1]->must(200, GET => '/v1/users/me/read-marks', undef, token => $w->token('member'))->{items} };
    is_deeply $of, $mark, '... and in the list of the other';

    # a key that is announced on one node, and acknowledged on the other
    my $next = GoConnect::Server::wg_key();
    my $peer = $w->must(201, 'peers_create', as => 'owner device', path => [ $home->{network} ],
        body => { public_key => GoConnect::Server::wg_key() });
    my ($rotating, $ready) = ($on->(0, 'owner device'), $on->(1, 'member device'));
    $w->must(200, 'peers_rotate', as => 'owner device', path => [ $peer->{id} ], body => { public_key => $next });
    is $ready->ask(rotation_ack => { peer_id => $peer->{id}, next_public_key => $next })->{type}, 'ok', 'a key is acknowledged';
    is_deeply $rotating->expect('rotation_ack', timeout => 60)->{data}, { network_id => $home->{network}, peer_id => $peer->{id},
        from_peer_id => $home->{peer}, next_public_key => $next }, '... over the nodes';

    $_->close for @open;
    $nodes->stop;
    return;
}

$redis->stop;
done_testing;
