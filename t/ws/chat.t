# Chat over the socket: chat_send by the rules of the POST, who is typing, what
# is unread, changes of messages on sockets of two workers.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Contract;
use GoConnect::Server;
use GoConnect::World;
use Mojo::JSON qw(encode_json);
use Test::More;

# every frame that any socket gets
my @wrong;
{
    no warnings 'redefine';
    my $decode = \&GoConnect::WS::decode_json;
    *GoConnect::WS::decode_json = sub {
        my $frame = $decode->($_[0]);
        push @wrong, map { "$frame->{type}: $_" } GoConnect::Contract::check_frame($frame);
        return $frame;
    };
}

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s, excluded => 1);
my ($home, $foreign) = @$w{qw(home foreign)};
my %id = map { $_ => $w->{user}{$_}{id} } keys %{ $w->{user} };
my %topic = (tenant => "tenant:$home->{tenant}", network => "network:$home->{network}");
my @open;

my $uuids = 0;
sub uuid { return sprintf '%08x-0000-4000-8000-%012x', ++$uuids, $$ }

sub socket_of {
    my ($who, @topics) = @_;
    my $ws = $s->ws(token => $w->token($who));
    my $hello = $ws->expect('hello');
    is_deeply $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topics ] })->{data}{refused},
        [], "$who: @topics" if @topics;
    $ws->{node} = $hello->{data}{node};
    push @open, $ws;
    return $ws;
}

# Sockets of somebody, one on each worker.
sub on_both {
    my ($who, @topics) = @_;
    my %on;
    for (1 .. 60) {
        my $ws = $s->ws(token => $w->token($who));
        my $node = $ws->expect('hello')->{data}{node};
        if ($on{$node}) { $ws->close } else { $on{$node} = $ws }
        last if keys %on == 2;
    }
    is keys %on, 2, "$who: a socket on each worker";
    $_->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topics ] }) for values %on;
    push @open, values %on;
    return values %on;
}

# ------------------------------------------------- one set of rules, two ways

# What the two ways answer, with what cannot be the same left out.
sub verdict {
    my ($status, $json) = @_;
    return { status => $status, code => $json->{code}, detail => $json->{detail}, title => $json->{title},
        errors => $json->{errors} } if $status >= 400;
    my %message = %$json;
    delete @message{qw(id timestamp number seq)};
    return { status => $status, message => \%message, fields => [ sort keys %$json ] };
}

sub over_rest {
    my ($who, $kind, $channel, $body, $key) = @_;
    my ($status, $json) = $w->call("${kind}_messages_create", as => $who, path => [$channel], body => $body,
        headers => { 'Idempotency-Key' => $key });
    return verdict($status, $json);
}

# A socket of somebody that may say something still: the burst is 40 messages.
my (%socket, %used);
sub socket_for {
    my ($who) = @_;
    if (++$used{$who} % 35 == 0) {
        $socket{$who}->close;
        delete $socket{$who};
    }
    return $socket{$who} //= socket_of($who);
}

sub over_socket {
    my ($who, $kind, $channel, $body, $key) = @_;
    my $ws = socket_for($who);
    my $answer = $ws->ask(chat_send => { "${kind}_id" => $channel, key => $key, %$body });
    return verdict($answer->{type} eq 'ok' ? 201 : $answer->{data}{status}, $answer->{data});
}

my $unknown = '00000000-0000-4000-8000-000000000000';
my %channel = (home => [ tenant => $home->{tenant} ], lan => [ network => $home->{network} ],
    lobby => [ network => $home->{lobby} ], foreign => [ tenant => $foreign->{tenant} ],
    'foreign lan' => [ network => $foreign->{network} ], 'no tenant' => [ tenant => $unknown ],
    'no network' => [ network => $unknown ]);
my $long = '❄' x 4000;
my @case = (
    # who, where, body, status, code
    (map { my $who = $_; map { [ $who, $_, { content => "hello of $who" } ] } sort keys %channel }
        'owner', 'member', 'pending', 'outsider', 'barred', 'member device', 'owner device', 'outsider device'),
    (map { [ 'member', 'lan', $_ ], [ 'member', 'home', $_ ], [ 'member device', 'home', $_ ], [ 'outsider', 'lan', $_ ] }
        {}, { content => '' }, { content => undef }, { content => 7 }, { content => ['x'] }, { content => { a => 1 } },
        { content => Mojo::JSON->true }, { content => " \n\t " }, { content => "a\x01b" }, { content => "a\x7fb" },
        { content => "${long}x" }, { content => 'x', number => 1 }, { content => 'x', user_id => $unknown },
        { contents => 'x' }),
    (map { [ 'member', $_, { content => $long } ], [ 'member', $_, { content => "two\nlines\tand \x{1f600} é" } ],
        [ 'member', $_, { content => q(<b>"\\'$1%s</b>) } ] } 'lan', 'home'),
);
my %seen;
for my $case (@case) {
    my ($who, $where, $body) = @$case;
    my $name = "$who in $where: " . substr encode_json($body), 0, 60;
    my @at = ($who, @{ $channel{$where} }, $body);
    my $rest = over_rest(@at, uuid());
    my $ws = over_socket(@at, uuid());
    is_deeply $ws, $rest, "$name: $rest->{status}" or diag explain [ $ws, $rest ];
    $seen{ "$rest->{status} " . ($rest->{code} // '') }++;
}
cmp_ok $seen{$_} // 0, '>', 0, "among them: $_"
    for '201 ', '403 insufficient_scope', '403 membership_required', '404 not_found', '422 invalid_fields', '422 unknown_field';
is $s->sql("SELECT bool_and(n = m) FROM (SELECT count(*) AS n, max(number) AS m FROM goconnect.messages GROUP BY channel) x"),
    't', 'numbers have no gap';

# the same key over both ways is the same message, in any order
for my $kind (qw(tenant network)) {
    my @at = ($kind, $home->{$kind});
    my $count = sub { $s->sql("SELECT count(*) FROM goconnect.messages WHERE channel = '$home->{$kind}'") };
    for my $first ('REST', 'the socket') {
        my ($key, $before) = (uuid(), $count->());
        my %say = (
            REST => sub { ($w->call("${kind}_messages_create", as => 'member', path => [ $home->{$kind} ],
                body => { content => $_[0] }, headers => { 'Idempotency-Key' => $key }))[1] },
            'the socket' => sub { socket_for('member')->ask(chat_send => { "${kind}_id" => $home->{$kind}, content => $_[0],
                key => $key })->{data} });
        my ($other) = grep { $_ ne $first } keys %say;
        my $said = $say{$first}->('once');
        is_deeply $say{$other}->('once'), $said, "$kind: a key of $first is good for $other";
        is_deeply $say{$first}->('once'), $said, '... and for itself';
        is $count->(), $before + 1, '... and it is said once';
        is $say{$_}->('twice')->{code}, 'idempotency_conflict', "... $_: not for other words" for sort keys %say;
    }
}

# two at once with one key: one message, whichever comes first
{
    my $key = uuid();
    my ($one, $two) = on_both('member');
    my @id = map { $_->send(chat_send => { network_id => $home->{network}, content => 'at once', key => $key }) } $one, $two;
    my %got = map { $_->expect('ok')->{data}{id} => 1 } $one, $two;
    is keys %got, 1, 'one key at once over two workers: one message';
}

# ---------------------------------------------------------- changes are live

my @ws = on_both('moderator', @topic{qw(tenant network)});
for my $kind (qw(tenant network)) {
    my $sent = socket_for('member')->ask(chat_send => { "${kind}_id" => $home->{$kind}, content => 'helo', key => uuid() })->{data};
    $w->must(200, 'messages_update', as => 'member', path => [ $sent->{id} ], body => { content => 'hello' });
    $w->must(204, 'messages_delete', as => 'member', path => [ $sent->{id} ]);
    for my $ws (@ws) {
        my @told = map { $ws->expect('chat_message') } 1 .. 3;
        is_deeply [ map { $_->{data}{id} } @told ], [ ($sent->{id}) x 3 ], "$kind: said, edited, deleted";
        is_deeply [ map { $_->{seq} - $sent->{seq} } @told ], [ 0, 1, 2 ], '... in order';
        is_deeply [ map { $_->{data}{content} } @told ], [ 'helo', 'hello', '' ], '... each as it was then';
        is_deeply [ map { $_->{data}{deleted} ? 1 : 0 } @told ], [ 0, 0, 1 ], '... at last gone';
        is_deeply [ map { $_->{data}{number} } @told ], [ ($sent->{number}) x 3 ], '... in its place';
        ok $told[1]{data}{edited_at}, '... with when it was edited';
    }
}

# -------------------------------------------------------------------- typing

# a fresh typist each time: of one is told once in three seconds
sub typing {
    my ($who, $where) = @_;
    my ($kind, $channel) = @{ $channel{$where} };
    return socket_for($who)->ask(typing => { "${kind}_id" => $channel });
}

sub typists {
    my ($ws, $topic, @expected) = @_;
    my %left = map { $id{$_} => "$_-x" } @expected;
    my @frame;
    while (%left) {
        my $frame = $ws->expect(sub { $_[0]{type} eq 'typing' && $_[0]{topic} eq $topic });
        push @frame, $frame;
        for my $user (@{ $frame->{data}{users} }) {
            is delete $left{ $user->{user_id} }, $user->{username}, "$user->{username} types in $topic";
        }
    }
    return @frame;
}

is typing('member', 'lan')->{type}, 'ok', 'a member types';
for my $ws (@ws) {
    my ($frame) = typists($ws, $topic{network}, 'member');
    is_deeply [ sort keys %$frame ], [qw(data topic type)], '... which has no seq';
    is_deeply $frame->{data}, { tenant_id => $home->{tenant}, network_id => $home->{network},
        users => [ { user_id => $id{member}, username => 'member-x' } ] }, '... and says who and where';
}
is typing('admin', 'home')->{type}, 'ok', 'in the tenant too';
for my $ws (@ws) {
    my ($frame) = typists($ws, $topic{tenant}, 'admin');
    is $frame->{data}{network_id}, undef, '... which is no network';
}
is typing('member', 'lan')->{type}, 'ok', 'again at once' for 1 .. 5;
is typing('owner', 'lan')->{type}, 'ok', 'another one';
for my $ws (@ws) {
    my @frame = typists($ws, $topic{network}, 'owner');
    is scalar(grep { $_->{user_id} eq $id{member} } map { @{ $_->{data}{users} } } @frame), 0,
        'who was told of a moment ago is not told of again';
}
is $s->sql("SELECT count(*) FROM goconnect.events WHERE kind = 'typing'"), 0, 'nothing is stored';

# with his message he is done, and what he begins then is news
my $said = socket_for('owner')->ask(chat_send => { network_id => $home->{network}, content => 'done', key => uuid() })->{data};
$_->expect(sub { $_[0]{type} eq 'chat_message' && $_[0]{data}{id} eq $said->{id} }) for @ws;
my $news;
for (1 .. 100) {
    typing('owner', 'lan');
    $news = $ws[0]->expect('typing', optional => 1, timeout => 0.2) and last;
}
is $news->{data}{users}[0]{user_id}, $id{owner}, 'after his message he may begin anew';
typists($ws[1], $topic{network}, 'owner');

# many at once: gathered into few frames, each user in one of them
my @crowd = map { { %{ $s->register("crowd-$_") }, name => "crowd-$_" } } 1 .. 12;
for my $user (@crowd) {
    $w->must(201, 'members_add', as => 'owner', path => [ $home->{tenant} ], body => { username => $user->{name} });
    $w->must(200, 'members_accept', token => $user->{token}, path => [ $home->{tenant} ]);
    $user->{ws} = $s->ws(token => $user->{token});
    $user->{ws}->expect('hello');
}
$_->{ws}->send(typing => { tenant_id => $home->{tenant} }) for @crowd;
is $_->{ws}->expect('ok')->{type}, 'ok', 'one of many' for @crowd;
for my $ws (@ws) {
    my (%told, $frames);
    while (keys %told < @crowd) {
        my $frame = $ws->expect('typing');
        $frames++;
        $told{ $_->{user_id} }++ for @{ $frame->{data}{users} };
    }
    is_deeply [ grep { $_ != 1 } values %told ], [], 'each is told of once';
    cmp_ok $frames, '<', @crowd, "... in $frames frames";
}
$_->{ws}->close for @crowd;

# who may not write there may not type there: the refusals of the POST
for my $who (qw(pending outsider barred), 'member device', 'outsider device', 'owner device') {
    for my $where (sort keys %channel) {
        my $post = over_rest($who, @{ $channel{$where} }, { content => 'x' }, uuid());
        my $answer = typing($who, $where);
        is $answer->{type} eq 'ok' ? '201 ' : "$answer->{data}{status} $answer->{data}{code}",
            "$post->{status} " . ($post->{code} // ''), "$who types in $where: as the POST";
    }
}
$_->ask('ping') for @ws;
is scalar(grep { $_->{type} eq 'typing' && $_->{data}{users}[0]{user_id} eq $id{outsider} } map { $_->frames } @ws), 0,
    'nothing is told of who may not';

# what a stranger says on the bus tells nothing that it should not
$s->sql("NOTIFY goconnect, '$_'") for map { encode_json($_) }
    { bus => 'typing' }, { bus => 'typing', data => [] }, { bus => 'typing', data => { tenant_id => 'x' } },
    { bus => 'typing', data => { tenant_id => $home->{tenant}, user_id => $id{member}, username => 'x' x 65 } },
    { bus => 'typing', data => { tenant_id => $home->{tenant}, user_id => $id{member}, username => "a\"b" } },
    { bus => 'typing', data => { tenant_id => $home->{tenant}, user_id => $id{member}, username => "a b" } },
    { bus => 'typing', data => { tenant_id => $unknown, user_id => $id{member}, username => 'x' } };
is $_->ask('ping')->{type}, 'ok', 'nonsense on the bus' for @ws;

# -------------------------------------------------------------------- unread

sub marks {
    my ($who) = @_;
    my $list = $w->must(200, 'read_marks_list', as => $who);
    is $list->{next_cursor}, undef, "$who: all marks at once";
    return map { (($_->{network_id} // $_->{tenant_id}) => $_) } @{ $list->{items} };
}

my $window = socket_of('member', "user:$id{member}");
my %mark = marks('member');
is_deeply [ sort keys %mark ], [ sort $home->{tenant}, $home->{network} ], 'the channels one is a member of';
for my $kind (qw(tenant network)) {
    my $of = $mark{ $home->{$kind} };
    is_deeply $of, $w->must(200, "${kind}_read_mark_get", as => 'member', path => [ $home->{$kind} ]),
        "$kind: the same as its own mark";
    is $of->{unread}, $of->{last_number} - $of->{number}, '... unread is the difference';
    cmp_ok $of->{unread}, '>', 0, '... and something is';
    my $set = $w->must(200, "${kind}_read_mark_set", as => 'member', path => [ $home->{$kind} ],
        body => { number => $of->{last_number} });
    is $set->{unread}, 0, '... read';
    is_deeply $window->expect('read_mark')->{data}, $set, '... other windows hear it live';
    $w->must(201, "${kind}_messages_create", as => 'owner', path => [ $home->{$kind} ], body => { content => $_ })
        for 'one', 'two';
    my %now = marks('member');
    is $now{ $home->{$kind} }{unread}, 2, '... two more';
}
is_deeply { marks('pending') }, {}, 'who was only asked has none';
is_deeply { marks('server admin') }, {}, 'who is in nothing has none';
ok !exists { marks('barred') }->{ $home->{network} }, 'a banned one does not hear how much is said there';
$w->is(403, 'insufficient_scope', 'a device has none', 'read_marks_list', as => 'member device');
$w->is(401, 'token_missing', 'nor has nobody', 'read_marks_list', as => 'nobody');
$w->must(204, 'networks_leave', as => 'moderator', path => [ $home->{network} ]);
is_deeply [ keys %{ { marks('moderator') } } ], [ $home->{tenant} ], 'who leaves a network leaves its mark';

$_->close for @open;
is_deeply \@wrong, [], 'every frame was of its schema';
$s->stop;
done_testing;
