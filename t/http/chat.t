# Chat: what editing, deleting and read marks do to those who read, over HTTP
# and over the WebSocket. Each answer is checked against the contract.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Mojo::JSON qw(encode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my ($home, $foreign) = @$w{qw(home foreign)};
my @net = (path => [ $home->{network} ]);

sub say_it {
    my ($who, $content, %opt) = @_;
    return $w->must(201, 'network_messages_create', as => $who, @net,
        body => { content => $content }, %opt);
}

sub socket_of {
    my ($who, @topics) = @_;
    my $ws = $s->ws(token => $w->{user}{$who}{token});
    $ws->expect('hello');
    $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topics ] });
    return $ws;
}

my $topic = "network:$home->{network}";
my $ws = socket_of('moderator', $topic);

# ------------------------------------------------------------------- editing

my $said = say_it('member', 'helo');
is $ws->expect('chat_message')->{data}{content}, 'helo', 'it is said';
my ($edited, $tx) = $w->is(200, undef, 'the author edits', 'messages_update', as => 'member',
    path => [ $said->{id} ], body => { content => 'hello' });
is $edited->{number}, $said->{number}, 'it keeps its number';
is $edited->{seq}, $said->{seq}, 'and its place';
ok $edited->{edited_at}, 'and tells when';
my $etag = $tx->res->headers->etag;
my $frame = $ws->expect('chat_message');
is $frame->{data}{id}, $said->{id}, 'who listens hears of it';
is $frame->{data}{content}, 'hello', 'with the new text';
is $frame->{seq}, $said->{seq} + 1, 'as an event of its own';
$w->is(412, 'precondition_failed', 'with the version before', 'messages_update', as => 'member',
    path => [ $said->{id} ], body => { content => 'x' }, headers => { 'If-Match' => '"1"' });
$w->is(200, undef, 'with this one', 'messages_update', as => 'member device',
    path => [ $said->{id} ], body => { content => 'hello!' }, headers => { 'If-Match' => $etag });
is $ws->expect('chat_message')->{data}{content}, 'hello!', 'a device of the author may edit';
$w->is(403, 'forbidden', 'nobody else edits', 'messages_update', as => 'owner',
    path => [ $said->{id} ], body => { content => 'x' });
$w->is(401, 'token_missing', 'nobody at all', 'messages_update', as => 'nobody',
    path => [ $said->{id} ], body => { content => 'x' });
for my $id ('00000000-0000-4000-8000-000000000000',
    $w->must(201, 'network_messages_create', as => 'outsider', path => [ $foreign->{network} ],
        body => { content => 'far' })->{id}) {
    $w->is(404, 'not_found', 'of another tenant, or of none', 'messages_update', as => 'owner',
        path => [$id], body => { content => 'x' });
    $w->is(404, 'not_found', '... to delete', 'messages_delete', as => 'owner', path => [$id]);
}
for my $bad ([ {}, 'content:required' ], [ { content => '' }, 'content:too_short' ],
    [ { content => 'x' x 4001 }, 'content:too_long' ], [ { content => 1 }, 'content:invalid_type' ],
    [ { content => 'x', number => 1 }, 'number:unknown_field' ]) {
    my $problem = $w->is(422, undef, "refused: $bad->[1]", 'messages_update', as => 'member',
        path => [ $said->{id} ], body => $bad->[0]);
    is "$problem->{errors}[0]{field}:$problem->{errors}[0]{code}", $bad->[1], 'and named';
}
my $long = '❄' x 4000;
is $w->must(200, 'messages_update', as => 'member', path => [ $said->{id} ],
    body => { content => $long })->{content}, $long, '4,000 characters of UTF-8';
$ws->expect('chat_message');
my $raw = $s->ua->patch($s->url . "/v1/messages/$said->{id}" => {
    Authorization => "Bearer $w->{user}{member}{token}", 'Content-Type' => 'application/json' },
    qq({"content": "\xff\xfe"}));
is $raw->res->json->{code}, 'invalid_utf8', 'what is not UTF-8 is refused';

# ------------------------------------------------------------------ deleting

$w->is(412, 'precondition_failed', 'DELETE with an old version', 'messages_delete', as => 'member',
    path => [ $said->{id} ], headers => { 'If-Match' => '"1"' });
my $second = say_it('moderator', 'second');
$ws->expect('chat_message');
$w->is(403, 'forbidden', 'a member deletes only his own', 'messages_delete', as => 'member',
    path => [ $second->{id} ]);
$w->is(204, undef, 'a moderator deletes what a member said', 'messages_delete', as => 'moderator',
    path => [ $said->{id} ]);
$frame = $ws->expect('chat_message');
is $frame->{data}{id}, $said->{id}, 'who listens hears of it';
ok $frame->{data}{deleted}, 'as deleted';
is $frame->{data}{content}, '', 'without its text';
$w->is(204, undef, 'deleted again', 'messages_delete', as => 'member', path => [ $said->{id} ]);
$w->is(409, 'message_deleted', 'then edited', 'messages_update', as => 'member',
    path => [ $said->{id} ], body => { content => 'x' });
$w->is(403, 'role_too_low', 'what an admin said is not for a moderator to delete', 'messages_delete',
    as => 'moderator', path => [ say_it('admin', 'mine')->{id} ]);
$ws->expect('chat_message');

my $late = $s->ws(token => $w->{user}{admin}{token});
$late->expect('hello');
$late->ask(subscribe => { topics => [ { topic => $topic, seq => 0 } ] });
my @replayed;
while (1) {
    my $f = $late->next;
    push @replayed, $f if $f->{type} eq 'chat_message';
    last if $f->{type} eq 'chat_message' && $f->{data}{content} eq 'mine';
}
is_deeply [ map { $_->{data}{content} } grep { $_->{data}{id} eq $said->{id} } @replayed ],
    [ ('') x 5 ], 'who catches up does not read what was deleted';

# ------------------------------------------------------------------- history

say_it('member', "line $_") for 1 .. 5;
my $all = $w->must(200, 'network_messages_list', as => 'member', @net)->{items};
is join(' ', map { $_->{number} } @$all), join(' ', 1 .. @$all), 'numbers have no gap';
is $all->[0]{deleted} ? 'tombstone' : 'text', 'tombstone', 'a tombstone keeps its place';
my ($up, $down) = ([], []);
for my $way ([ after_seq => 0, $up ], [ before_seq => 1_000_000, $down ]) {
    my ($name, $seq, $list) = @$way;
    while (defined $seq) {
        my $page = $w->must(200, 'network_messages_list', as => 'member', @net,
            query => { $name => $seq, limit => 3 });
        $name eq 'after_seq' ? push @$list, @{ $page->{items} }
            : unshift @$list, @{ $page->{items} };
        $seq = $page->{next_cursor};
    }
}
is_deeply $up, $all, 'forwards, page by page';
is_deeply $down, $all, 'backwards too';

# at once, from both workers: gap-free all the same
my @done;
my $ua = $s->ua;
for my $i (1 .. 30) {
    my $tx = $ua->build_tx(POST => $s->url . "/v1/networks/$home->{network}/messages",
        { Authorization => "Bearer $w->{user}{member}{token}", 'Content-Type' => 'application/json' },
        encode_json({ content => "at once $i" }));
    $ua->start($tx => sub { push @done, $_[1]->res->code });
}
Mojo::IOLoop->one_tick while @done < 30;
is_deeply [ grep { $_ != 201 } @done ], [], 'thirty at once';
is $s->sql("SELECT count(*) = max(number) AND count(*) = count(DISTINCT number) FROM goconnect.messages "
    . "WHERE network_id = '$home->{network}'"), 't', 'numbers have no gap still';

# ---------------------------------------------------------------- read marks

my $window = socket_of('member', "user:$w->{user}{member}{id}");
for my $kind (qw(tenant network)) {
    my @at = (path => [ $home->{$kind} ]);
    $w->must(201, "${kind}_messages_create", as => 'owner', @at, body => { content => 'news' });
    my $mark = $w->must(200, "${kind}_read_mark_get", as => 'member', @at);
    is $mark->{number}, 0, "$kind: nothing is read at first";
    my ($set, $tx) = $w->is(200, undef, "$kind: read", "${kind}_read_mark_set", as => 'member', @at,
        body => { number => $mark->{last_number} });
    is $set->{number}, $mark->{last_number}, 'all of it';
    is_deeply $window->expect('read_mark')->{data}, $set, 'the other windows hear of it';
    is(($w->call("${kind}_read_mark_get", as => 'member', @at, quiet => 1,
        headers => { 'If-None-Match' => $tx->res->headers->etag }))[0], 304, 'it has a version');
    $w->is(412, 'precondition_failed', 'set with an old one', "${kind}_read_mark_set", as => 'member',
        @at, body => { number => 0 }, headers => { 'If-Match' => '"0.0"' });
    my $problem = $w->is(422, undef, 'beyond the end', "${kind}_read_mark_set", as => 'member', @at,
        body => { number => $mark->{last_number} + 1 });
    is $problem->{errors}[0]{code}, 'out_of_range', 'says so';
    $w->is(422, undef, 'below zero', "${kind}_read_mark_set", as => 'member', @at, body => { number => -1 });
    is $w->must(200, "${kind}_read_mark_get", as => 'admin', @at)->{number}, 0, 'each has his own';
    $w->is(404, 'not_found', 'a stranger has none', "${kind}_read_mark_get", as => 'outsider', @at);
    $w->is(404, 'not_found', 'nor sets one', "${kind}_read_mark_set", as => 'outsider', @at, body => { number => 0 });
    $w->is(403, 'insufficient_scope', 'nor has a device', "${kind}_read_mark_get", as => 'member device', @at);
    $w->is(403, undef, 'nor sets it one', "${kind}_read_mark_set", as => 'member device', @at, body => { number => 0 });
}

undef $ua;
$_->close for $ws, $late, $window;
$s->stop;
done_testing;
