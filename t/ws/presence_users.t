# Who is here, told to the members of a tenant by two nodes: users with several
# windows and devices, those who come back in time, and those who may not know.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Nodes;
use GoConnect::Presence;
use GoConnect::Server;
use Mojo::JSON qw(encode_json);
use Test::More;
use Time::HiRes qw(time);

my $nodes = GoConnect::Nodes->start(count => 2, workers => 2);
my ($one, $two) = $nodes->all;
my %user = map { $_ => $one->register($_) } qw(ada bob cleo marker);
my @ada = (token => $user{ada}{token});
my $t = $one->must(201, POST => '/v1/tenants',
    { name => 'Hall', visibility => 'public', access => 'open' }, @ada);
for my $name (qw(bob marker)) {
    $one->must(200, POST => "/v1/tenants/$t->{id}/join", {}, token => $user{$name}{token});
}
my $topic = "tenant:$t->{id}";
my %id = map { $_ => $user{$_}{id} } keys %user;

sub window {
    my ($node, $name, @topic) = @_;
    my $ws = $node->ws(token => $user{$name}{token});
    $ws->expect('hello');
    $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topic ] }) if @topic;
    return $ws;
}

sub member {
    my ($name, $as) = @_;
    my $list = $two->must(200, GET => "/v1/tenants/$t->{id}/members", undef,
        token => $user{ $as // 'ada' }{token});
    my ($one) = grep { $_->{username} eq $name } @{ $list->{items} };
    return $one;
}

# Until the server knows that he is here.
sub here {
    my ($name) = @_;
    return $one->_await("$name to be here", sub {
        $one->sql("SELECT count(*) FROM goconnect.presence_users WHERE user_id = '$id{$name}'");
    });
}

# Somebody goes after all that happened before, and comes no more: when he is
# told as gone, so would they be.
sub marker {
    my (@ws) = @_;
    my $ws = window($one, 'marker');
    told($_, $id{marker}, 'online') for @ws;
    $ws->close;
    told($_, $id{marker}, 'offline') for @ws;
    return;
}

# -------------------------------------------------------------- come and go

my $watch = window($one, 'ada', $topic);
my $other = window($two, 'ada', $topic);
my $bob = window($two, 'bob');
ok my $frame = told($watch, $id{bob}, 'online'), 'a user comes: the other node\'s sockets hear it';
is_deeply [ sort keys %$frame ], [qw(data topic type)], 'a state, without seq';
ok told($other, $id{bob}, 'online'), 'and those of his own';
ok member('bob')->{online}, 'the list shows it';

my $late = window($one, 'ada', $topic);
ok told($late, $id{bob}, 'online'), 'who subscribes later is told at once';
$late->close;

# another window on the other node, and a device
my $second = window($one, 'bob');
my $box = $one->device($user{bob}, name => 'box');
my $device = $two->ws(token => $box->{token});
$device->expect('hello');
$_->close for $bob, $second;
marker($watch, $other);
is words($_, $id{bob}), '', 'a device keeps its user here' for $watch, $other;

# without the device too; away and back within the grace, on one node and the other
$bob = window($two, 'bob');
$device->drop;
for my $node ($one, $two, $one, $two) {
    $bob->drop;
    $bob = window($node, 'bob');
}
marker($watch, $other);
is words($_, $id{bob}), '', 'who comes back in time was never away' for $watch, $other;
$bob->drop;
ok told($_, $id{bob}, 'offline'), 'who stays away is told of, once' for $watch, $other;
my $listed = member('bob');
ok !$listed->{online}, 'the list shows it';
like $listed->{last_seen}, qr/^\d{4}-/, 'and when he was seen';

# ------------------------------------------------ who is thrown out, or goes

$bob = window($two, 'bob');
told($_, $id{bob}, 'online') for $watch, $other;
$one->sql("UPDATE goconnect.users SET server_admin = true WHERE username = 'ada'");
$one->must(200, POST => "/v1/admin/users/$id{bob}/suspend", {}, @ada);
ok !member('bob')->{online}, 'who is suspended is not here from that moment';
is $bob->closed, 4003, 'his socket is closed';
ok told($_, $id{bob}, 'offline'), 'and it is told' for $watch, $other;
$one->must(200, POST => "/v1/admin/users/$id{bob}/restore", {}, @ada);
$user{bob} = { %{ $two->login('bob') }, id => $id{bob} };

# ------------------------------------------------------------------- privacy

my $cleo = window($one, 'cleo');
$one->must(201, POST => "/v1/tenants/$t->{id}/members", { username => 'cleo' }, @ada);
$cleo->close;
$cleo = window($two, 'cleo');
here('cleo');
is member('cleo')->{online}, Mojo::JSON->false, 'nor shown';
is member('cleo')->{last_seen}, undef, 'at all';
$one->must(200, POST => "/v1/tenants/$t->{id}/members/accept", {}, token => $user{cleo}{token});
my $added = $watch->expect(sub { $_[0]{type} eq 'member' && $_[0]{data}{change} eq 'added'
    && $_[0]{data}{member}{user_id} eq $id{cleo} && $_[0]{topic} eq $topic });
ok $added->{data}{member}{online}, 'who joins is shown with the event that tells of him';

$one->must([ 200, 201, 204 ], POST => "/v1/tenants/$t->{id}/bans/$id{cleo}", {}, @ada);
$watch->expect(sub { $_[0]{type} eq 'member' && $_[0]{data}{change} eq 'removed' });
$cleo->close;
$cleo = window($one, 'cleo');
here('cleo');
$cleo->close;
marker($watch, $other);
is words($_, $id{cleo}), '', 'nothing is told of who was only asked in, or is banned' for $watch, $other;

# ---------------------------------------------- many changes are few frames

my $n = $one->must(201, POST => "/v1/tenants/$t->{id}/networks", { name => 'lan' }, @ada);
my $network = "network:$n->{id}";
my @crowd = map {
    my $d = $nodes->node($_ % 2)->device($user{ada}, name => "crowd-$_");
    +{ %$d, peer => $one->must(201, POST => "/v1/networks/$n->{id}/peers",
        { public_key => GoConnect::Server::wg_key() }, token => $d->{token})->{id} };
} 1 .. 24;
$watch->ask(subscribe => { topics => [ { topic => $network, seq => undef } ] });
my $begin = time;
for my $i (0 .. $#crowd) {
    $crowd[$i]{ws} = $nodes->node($i % 2)->ws(token => $crowd[$i]{token});
}
my (%online, $frames);
while (keys %online < @crowd) {
    my $said = $watch->expect('peer_status', timeout => 60);
    $frames++;
    $online{ $_->[0] } = 1 for states($said);
}
my $took = time - $begin;
is_deeply [ sort keys %online ], [ sort map { $_->{peer} } @crowd ], 'a crowd comes, by both nodes';
cmp_ok $frames, '<=', int($took) + 2, "in at most a frame a second: $frames of them";
$_->{ws}->drop for @crowd;

# -------------------------------------------- a bell that does not hold it all

my @many = map { $one->must(201, POST => '/v1/tenants',
    { name => "Many $_", visibility => 'public', access => 'open' }, @ada)->{id} } 1 .. 26;
for my $tenant (@many) {
    $one->must(200, POST => "/v1/tenants/$tenant/join", {}, token => $user{bob}{token});
}
my %seen = map { $_ => window($nodes->node($_), 'ada', map { "tenant:$_" } @many) } 0, 1;
$bob = window($two, 'bob');
for my $i (0, 1) {
    my %told;
    while (keys %told < @many) {
        my $said = $seen{$i}->expect(sub { grep { $_->[0] eq $id{bob} && $_->[1] eq 'online' } states($_[0]) },
            timeout => 60);
        $told{ $said->{topic} } = 1;
    }
    is keys %told, @many, "26 tenants learn of a member, at node $i";
}
$_->close for values %seen;

# --------------------------------------------------- nonsense from a stranger

my $last = $one->sql('SELECT max(number) FROM goconnect.presence_news');
for my $text ('{"bus":"presence"}', '{"bus":"presence","number":"x"}', '{"bus":"presence","number":1}',
    '{"bus":"presence","number":9223372036854775807}', '{"bus":"presence","number":-1,"frames":[]}',
    '{"bus":"presence","number":' . ($last + 1) . ',"frames":[[],{},7,{"type":"presence","topic":"x","data":{}}],"devices":[{},"x"]}',
    '{"type":"presence","topic":"' . $topic . '","data":{"users":[{"user_id":"x"},{},{"user_id":"' . ('y' x 36) . '","status":"' . ('z' x 900) . '"}]}}',
    '{"type":"presence","topic":"' . $topic . '","data":[]}') {
    (my $quoted = $text) =~ s/'/''/g;
    $one->sql("SELECT pg_notify('goconnect', '$quoted')");
}
$nodes->allow(qr/news of presence were missed/);
$bob->close;
ok told($_, $id{bob}, 'offline'), 'news come in spite of it' for $watch, $other;
$bob = window($one, 'bob');
ok told($_, $id{bob}, 'online'), 'again' for $watch, $other;

$_->close for $bob, $watch, $other;
$nodes->stop;
done_testing;
