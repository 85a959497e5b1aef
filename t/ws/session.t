# Who gets a WebSocket, what it may ask, and how it is taken away.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::RawWS;
use GoConnect::Server;
use Mojo::JSON qw(decode_json encode_json);
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::More;

# two workers, and sockets land on either of them
my $s = GoConnect::Server->start(workers => 2);
my $ada = $s->register('ada');
my $bob = $s->register('bob');

sub uuid { sprintf '%08x-0000-4000-8000-%012x', rand 2**32, rand 2**40 }

# ------------------------------------------------------------- credentials

my $ws = $s->ws(token => $ada->{token});
my $hello = $ws->expect('hello');
is $hello->{data}{user}{username}, 'ada', 'hello names the user';
is $hello->{data}{session_id}, $ada->{session_id}, 'and the session';
is $hello->{data}{device}, undef, 'there is no device';
is $hello->{data}{version}, 1, 'version 1';
is $hello->{data}{heartbeat}, 30, 'heartbeat of 30 s';
like $hello->{data}{node}, qr/^[0-9a-f]{8}-/, 'a node';
like $hello->{data}{epoch}, qr/./, 'an epoch';
is_deeply $hello->{data}{topics}, [ { topic => "user:$ada->{id}", seq => 0 } ], 'topics';
$ws->close;

my ($head, $claims, $mac) = split /\./, $ada->{token};
my $old = encode_json({ %{ decode_json(decode_base64url($claims)) }, exp => time - 60 });
my %bad = (
    'no token' => '', 'no JWT' => 'token=nonsense', 'empty' => 'token=',
    'forged' => "token=$head.$claims." . encode_base64url('x' x 32),
    'altered' => "token=$head." . encode_base64url($old) . ".$mac",
    'algorithm none' => 'token=' . encode_base64url('{"alg":"none","typ":"JWT"}') . ".$claims.",
    'invented ticket' => 'ticket=' . encode_base64url('t' x 32),
    'long ticket' => 'ticket=' . 't' x 2000,
);
for my $name (sort keys %bad) {
    is $s->ws(query => $bad{$name})->closed, 4001, "$name: 101, then 4001";
}

$ws = $s->ws(query => '', headers => { Authorization => "Bearer $ada->{token}" });
ok $ws->expect('hello'), 'a token in the Authorization header';
$ws->close;

my $ticket = $s->must(201, POST => '/v1/ws/ticket', undef, token => $ada->{token});
is $ticket->{expires_in}, 30, 'a ticket lives 30 s';
$ws = $s->ws(ticket => $ticket->{ticket});
is $ws->expect('hello')->{data}{user}{username}, 'ada', 'a ticket opens';
is $s->ws(ticket => $ticket->{ticket})->closed, 4001, 'once only';
$ws->close;

$ticket = $s->must(201, POST => '/v1/ws/ticket', undef, token => $ada->{token});
$s->sql("UPDATE goconnect.ws_tickets SET expires_at = now() - interval '1 s'");
is $s->ws(ticket => $ticket->{ticket})->closed, 4001, 'and not later';

# ---------------------------------------------------------------- requests

$ws = $s->ws(token => $ada->{token});
$ws->expect('hello');

sub problem {
    my ($name, $frame, $status, $code) = @_;
    is "$frame->{type} $frame->{data}{status} $frame->{data}{code}", "error $status $code", $name;
    is $frame->{data}{type}, 'about:blank', "$name: a problem object";
    return;
}

sub raw {
    my ($text) = @_;
    $ws->send_raw($text);
    return $ws->expect('error');
}

is_deeply $ws->ask('ping'), { type => 'ok', id => 'r1', data => {} }, 'ping';
problem('no JSON', raw('hello'), 400, 'malformed_json');
problem('no object', raw('[1]'), 400, 'malformed_json');
problem('a member twice', raw('{"type":"ping","type":"ping"}'), 400, 'duplicate_member');
problem('a NUL', raw('{"type":"pi\u0000ng"}'), 400, 'nul_character');
problem('a number beyond int64', raw('{"type":"ping","data":{"n":9223372036854775808}}'),
    400, 'number_out_of_range');
problem('deep nesting', raw('{"type":"ping","data":' . '[' x 60000), 400, 'too_deep');
problem('no type', raw('{"id":"a"}'), 422, 'invalid_fields');
problem('id of another type', raw('{"type":"ping","id":7}'), 422, 'invalid_fields');
problem('a long id', raw('{"type":"ping","id":"' . 'x' x 65 . '"}'), 422, 'invalid_fields');
problem('data of another type', raw('{"type":"ping","data":[]}'), 422, 'invalid_fields');
problem('unknown type', $ws->ask('dance'), 422, 'unknown_type');
is $ws->ask('ping', {}, id => qq(q"\\\x{e9}))->{id}, qq(q"\\\x{e9}), 'an id comes back as it was';
$ws->close;

$ws = $s->ws(token => $ada->{token});
$ws->expect('hello');
problem('subscribe without topics', $ws->ask('subscribe'), 422, 'invalid_fields');
problem("subscribe to $_", $ws->ask(subscribe => { topics => [ { topic => $_ } ] }),
    422, 'invalid_fields')
    for 'user', 'user:x', "user:$ada->{id}/staff", "tenant:\U$ada->{id}", "nobody:$ada->{id}",
    "tenant:$ada->{id}/stuff", 7;
problem('a seq below 0',
    $ws->ask(subscribe => { topics => [ { topic => "user:$ada->{id}", seq => -1 } ] }),
    422, 'invalid_fields');
problem('too many topics',
    $ws->ask(subscribe => { topics => [ map { { topic => 'tenant:' . uuid() } } 1 .. 257 ] }),
    422, 'invalid_fields');

my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
my $n = $s->must(201, POST => "/v1/tenants/$t->{id}/networks", { name => 'lan' },
    token => $ada->{token});
my $foreign = $s->ws(token => $bob->{token});
$foreign->expect('hello');
my $answer = $foreign->ask(subscribe => { topics => [
    map { { topic => $_, seq => undef } }
        "tenant:$t->{id}", "tenant:$t->{id}/staff", "network:$n->{id}", "user:$ada->{id}",
        'network:' . uuid(), "user:$bob->{id}" ] });
is_deeply $answer->{data}{topics}, [ { topic => "user:$bob->{id}", seq => 0 } ],
    'one may subscribe to what is one\'s own';
is_deeply [ map { $_->{code} } @{ $answer->{data}{refused} } ], [ ('not_found') x 5 ],
    'and not to what is others\'';
$foreign->close;

# -------------------------------------------------------------------- chat

$ws->ask(subscribe => { topics => [ { topic => "tenant:$t->{id}" } ] });
my $key = uuid();
my $sent = $ws->ask(chat_send => { tenant_id => $t->{id}, content => "h\x{e9}", key => $key });
is $sent->{type}, 'ok', 'chat_send';
is $sent->{data}{content}, "h\x{e9}", 'gives the message';
my $event = $ws->expect('chat_message');
is $event->{data}{id}, $sent->{data}{id}, 'which comes as an event too';
is $event->{seq}, $sent->{data}{seq}, 'with its seq';
my $again = $ws->ask(chat_send => { tenant_id => $t->{id}, content => "h\x{e9}", key => $key });
is $again->{data}{id}, $sent->{data}{id}, 'the same key is the same message';
is $s->sql("SELECT count(*) FROM goconnect.messages"), 1, 'and posts once';
problem('the same key, other content',
    $ws->ask(chat_send => { tenant_id => $t->{id}, content => 'x', key => $key }),
    409, 'idempotency_conflict');
problem('no key', $ws->ask(chat_send => { tenant_id => $t->{id}, content => 'x' }),
    422, 'invalid_fields');
is $ws->ask(chat_send => { tenant_id => $t->{id}, content => '', key => uuid() })->{data}{status},
    422, 'nothing to say';
is $ws->ask(chat_send => { tenant_id => uuid(), content => 'x', key => uuid() })->{data}{status},
    404, 'to an unknown tenant';
is $ws->ask('unsubscribe', { topics => ["tenant:$t->{id}"] })->{type}, 'ok', 'unsubscribe';
$ws->ask(chat_send => { tenant_id => $t->{id}, content => 'unheard', key => uuid() });
$ws->ask('ping');
ok !(grep { $_->{type} eq 'chat_message' } $ws->frames), 'and nothing comes any more';
$ws->close;

# ------------------------------------------------------------------ limits

{
    my $fast = GoConnect::RawWS->connect($s, query => "token=$ada->{token}");
    $fast->write(join '', map { $fast->frame(text => '{"type":"ping"}') } 1 .. 40);
    is join(' ', map { $fast->json->{type} } 1 .. 40), join(' ', ('ok') x 40), 'a burst of 40';
    $fast->write(join '', map { $fast->frame(text => '{"type":"ping"}') } 1 .. 30);
    is $fast->ended, 1008, 'and no more: 1008';
    $fast->close;
    # the bucket fills again: 20 in a second
    my $steady = GoConnect::RawWS->connect($s, query => "token=$ada->{token}");
    for my $n (40, 20, 20) {
        $steady->write(join '', map { $steady->frame(text => '{"type":"ping"}') } 1 .. $n);
        is join(' ', map { $steady->json->{type} } 1 .. $n), join(' ', ('ok') x $n),
            "$n answers";
        select undef, undef, undef, 1.05;
    }
    $steady->close;
}
{
    my $eager = GoConnect::RawWS->connect($s, query => "token=$ada->{token}", no_hello => 1,
        more => join '', map { GoConnect::RawWS->frame(text => qq({"type":"ping","id":"$_"})) } 1 .. 9);
    is $eager->json->{type}, 'hello', 'hello is first';
    is join('', map { $eager->json->{id} } 1 .. 9), '123456789', 'what came before it is answered';
    $eager->close;
}

my @many = map { $s->ws(token => $bob->{token}) } 1 .. 17;
my @over = grep { !$_->expect('hello', optional => 1) } @many;
is @over, 9, 'a user has eight connections, over all workers';
is_deeply [ map { $_->closed } @over ], [ (1008) x @over ], 'with 1008';
my $own = $s->device($bob);
my $extra = $s->ws(token => $own->{token});
is $extra->expect('hello')->{type}, 'hello', 'a device counts by itself';
$extra->close;
my ($in) = grep { $_->is_open } @many;
$in->close;
$extra = $s->ws(token => $bob->{token});
ok $extra->expect('hello', optional => 1), 'who leaves makes room';
$extra->close;
$_->close for @many;

# -------------------------------------------------------------- revocation

my $other = $s->login('ada');
my $first = $s->ws(token => $ada->{token});
my $second = $s->ws(token => $other->{token});
$_->expect('hello') for $first, $second;
$second->ask(subscribe => { topics => [ { topic => "user:$ada->{id}" } ] });
$s->must(204, POST => '/v1/auth/logout', undef, token => $ada->{token});
my $revoked = $first->expect('revoked');
is $revoked->{data}{scope}, 'session', 'logout is told';
is $first->closed, 4003, 'and closes the session\'s socket with 4003';
is $second->expect('revoked')->{data}{session_id}, $ada->{session_id},
    'the user\'s other socket sees it';
is $second->ask('ping')->{type}, 'ok', 'and stays';
is $s->ws(token => $ada->{token})->closed, 4001, 'a revoked session opens nothing';
$second->close;

# a device: one connection, the older goes
my $device = $s->device($other);
my @device = map { my $x = $s->ws(token => $device->{token}); $x->expect('hello'); $x } 1 .. 3;
is $device[0]->closed, 4009, 'the older connection of a device is replaced';
is $device[1]->closed, 4009, 'each time';
is $device[2]->ask('ping')->{type}, 'ok', 'the youngest stays';
$s->must(204, DELETE => "/v1/devices/$device->{id}", undef, token => $other->{token});
is $device[2]->closed, 4003, 'a deleted device is revoked';

# leaving a network ends its topics, not the socket
$s->must([ 200, 204 ], POST => "/v1/networks/$n->{id}/join", {}, token => $other->{token});
$ws = $s->ws(token => $other->{token});
$ws->expect('hello');
$answer = $ws->ask(subscribe => { topics => [
    { topic => "network:$n->{id}" }, { topic => "tenant:$t->{id}" } ] });
is_deeply $answer->{data}{refused}, [], 'subscribed to a network';
$s->must(204, POST => "/v1/networks/$n->{id}/leave", undef, token => $other->{token});
$revoked = $ws->expect('revoked');
is $revoked->{data}{scope}, 'network', 'revoked comes without a subscription to user:';
my $seq = $s->sql("SELECT coalesce(max(seq), 0) FROM goconnect.topics WHERE id = 'network:$n->{id}'");
is $ws->ask('ping')->{type}, 'ok', 'the socket stays';
$s->must([ 200, 204 ], POST => "/v1/networks/$n->{id}/join", {}, token => $other->{token});
$ws->ask('ping');
ok !(grep { ($_->{topic} // '') eq "network:$n->{id}" && $_->{seq} > $seq } $ws->frames),
    'and hears no more of the network';
$ws->close;

$s->stop;
done_testing;
