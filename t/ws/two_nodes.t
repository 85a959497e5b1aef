# Two nodes behave as one server towards whoever uses both: order, tickets, keys
# of idempotency, devices, what is revoked, what is cached, the audit trail; with
# clocks that differ, during an update, and when one is taken out.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Nodes;
use Mojo::Date;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::Promise;
use Mojo::UserAgent;
use Test::More;
use Time::HiRes qw(sleep time);

my $WAIT = 30;    # only so that nothing hangs
my $nodes = GoConnect::Nodes->start(workers => 2);
my ($a, $b) = my @node = $nodes->all;
my $ada = $a->register('ada');
my $bob = $b->register('bob');
my @ada = (token => $ada->{token});
my @bob = (token => $bob->{token});
my $t = $a->must(201, POST => '/v1/tenants', { name => 'Hall', visibility => 'public', access => 'open' }, @ada);
my $n = $b->must(201, POST => "/v1/tenants/$t->{id}/networks",
    { name => 'lan', visibility => 'public', join_policy => 'open' }, @ada);
$a->must([ 200, 201 ], POST => "/v1/tenants/$t->{id}/join", {}, @bob);
$b->must([ 200, 201 ], POST => "/v1/networks/$n->{id}/join", {}, @bob);
my $topic = "tenant:$t->{id}";

sub uuid { return sprintf '%08x-0000-4000-8000-%012x', rand 2**32, rand 2**40 }

sub until_true {
    my ($what, $check) = @_;
    my $end = time + $WAIT;
    my $true;
    sleep 0.02 while !($true = $check->()) && time < $end;
    ok $true, $what;
    return;
}

sub subscriber {
    my ($node, $token, @topic) = @_;
    my $ws = $node->ws(token => $token);
    $ws->expect('hello', timeout => $WAIT);
    my $answer = $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topic ] },
        timeout => $WAIT);
    is_deeply $answer->{data}{refused} // [], [], 'a subscriber';
    return $ws;
}

# The same request at several nodes at once: [status, json] of each.
sub at_once {
    my ($method, $path, $body, %header) = @_;
    my $ua = Mojo::UserAgent->new(request_timeout => 60, inactivity_timeout => 60, max_connections => 0);
    my @answer;
    my @wait = map {
        my $i = $_;
        $ua->start_p($ua->build_tx($method => $node[ $i % 2 ]->url . $path,
            { 'Content-Type' => 'application/json', %header }, encode_json($body)))
            ->then(sub { $answer[$i] = [ $_[0]->res->code, decode_json($_[0]->res->body) ] })
    } 0 .. 5;
    Mojo::Promise->all(@wait)->wait;
    return @answer;
}

# ------------------------------------------------------------- order of a channel

my @ear = map { subscriber($_, $ada->{token}, $topic) } @node;
my @mouth = map { my $ws = $_->ws(@bob); $ws->expect('hello'); $ws } @node;
my %said;
for my $i (1 .. 20) {
    $mouth[ $i % 2 ]->send(chat_send => { tenant_id => $t->{id}, content => "socket $i", key => uuid() });
    my $json = $node[ ($i + 1) % 2 ]->must(201, POST => "/v1/tenants/$t->{id}/messages", { content => "rest $i" }, @ada);
    $said{ $json->{seq} } = "rest $i";
}
my @heard;
for my $ear (@ear) {
    my @got = map { $ear->expect('chat_message', timeout => $WAIT) } 1 .. 40;
    push @heard, [ map { "$_->{seq} $_->{data}{number} $_->{data}{content}" } @got ];
}
is_deeply $heard[1], $heard[0], 'both nodes tell a channel in one order';
my @seq = map { (split)[0] } @{ $heard[0] };
is_deeply \@seq, [ $seq[0] .. $seq[0] + 39 ], 'without a gap';
is_deeply [ map { (split)[1] } @{ $heard[0] } ], [ 1 .. 40 ], 'and its messages are numbered through';
is scalar(grep { my ($s, undef, @c) = split; exists $said{$s} && $said{$s} eq "@c" } @{ $heard[0] }), 20,
    'what was acknowledged is what was told';
$_->close for @mouth;

# ------------------------------------------------------- tickets, idempotency keys

my $ticket = $a->must(201, POST => '/v1/ws/ticket', undef, @ada)->{ticket};
my $ws = $b->ws(ticket => $ticket);
is $ws->expect('hello')->{data}{user}{username}, 'ada', 'a ticket is good at the other node';
$ws->close;
is $a->ws(ticket => $ticket)->closed, 4001, 'and once over all nodes';

my $key = uuid();
my @answer = at_once(POST => "/v1/tenants/$t->{id}/messages", { content => 'once' },
    Authorization => "Bearer $ada->{token}", 'Idempotency-Key' => $key);
is_deeply [ map { $_->[0] } @answer ], [ (201) x 6 ], 'one request at both nodes at once';
is keys %{ { map { $_->[1]{id} => 1 } @answer } }, 1, 'is done once, and has one answer';

@answer = at_once(POST => '/v1/auth/register', { username => 'carl', password => 'correct horse battery' });
is_deeply [ sort map { $_->[0] } @answer ], [ 201, (409) x 5 ], 'a name is given once';

# ------------------------------------------------------- devices, what is taken away

my $device = $a->device($ada);
my @box;
for my $i (0 .. 5) {
    $box[$i] = $node[ $i % 2 ]->ws(token => $device->{token});
    $box[$i]->expect('hello', timeout => $WAIT);
    is $box[ $i - 1 ]->closed($WAIT), 4009, 'a connection at the other node replaces' if $i;
}
is $box[5]->ask('ping')->{type}, 'ok', 'and the last one stays';

my $away = $a->login('bob');
my $gone = $b->ws(token => $away->{token});
$gone->expect('hello');
$b->must(200, GET => '/v1/auth/me', undef, token => $away->{token});
$a->must(204, POST => '/v1/auth/logout', {}, token => $away->{token});
is $gone->closed($WAIT), 4003, 'who logs out at one node is gone from the other';
until_true('and his token is refused there', sub {
    ($b->api(GET => '/v1/auth/me', undef, token => $away->{token}))[0] == 401 });
is $b->ws(token => $away->{token})->closed, 4001, 'by its WebSocket too';

my $member = subscriber($b, $bob->{token}, $topic, "network:$n->{id}");
$a->must([ 200, 204 ], POST => "/v1/networks/$n->{id}/kick", { user_id => $bob->{id} }, @ada);
my $revoked = $member->expect('revoked', timeout => $WAIT);
is $revoked->{data}{scope}, 'network', 'who is kicked out of a network hears it at the other node';
is_deeply [ map { $_->{topic} }
    @{ $member->ask(subscribe => { topics => [ { topic => "network:$n->{id}" } ] })->{data}{refused} } ],
    ["network:$n->{id}"], 'where it is refused from then on';
$member->close;

# ---------------------------------------------------------------------- the cache

my $first = $b->must(200, GET => "/v1/networks/$n->{id}", undef, @ada);
$b->must(200, GET => "/v1/networks/$n->{id}", undef, @ada) for 1 .. 4;
$a->must(200, PATCH => "/v1/networks/$n->{id}", { description => 'new' }, @ada);
is $a->must(200, GET => "/v1/networks/$n->{id}", undef, @ada)->{description}, 'new',
    'who changes something reads it at that node at once';
until_true('and at the other as soon as it has heard',
    sub { ($b->must(200, GET => "/v1/networks/$n->{id}", undef, @ada)->{description} // '') eq 'new' });

# -------------------------------------------------------------- chores, and limits

until_true('the audit trail is chained', sub {
    $nodes->sql('SELECT count(*) FROM goconnect.audit_log WHERE chain_number IS NULL') == 0 });
for my $node (@node) {
    ok $node->must(200, GET => "/v1/tenants/$t->{id}/audit/verify", undef, @ada)->{intact},
        'the trail of both nodes is one chain';
}
is $nodes->sql(q{SELECT count(*) FROM (SELECT chain_number FROM goconnect.audit_log
    GROUP BY tenant_id, chain_number HAVING count(*) > 1) x}), 0, 'in which no number is twice';

my @full = map { my $ws = $a->ws(@bob); $ws->expect('hello'); $ws } 1 .. 8;
is $a->ws(@bob)->closed($WAIT), 1008, 'eight sockets at one node';
my $more = $b->ws(@bob);
ok $more->expect('hello'), 'and more at the other';
$_->close for @full, $more;
is $nodes->counter(0, 'goconnect_websockets'), 1, 'a node counts its own sockets';

# ------------------------------------------------------------------------- clocks

SKIP: {
    my ($fake) = glob '/usr/lib/*/faketime/libfaketime.so.1';
    skip 'sanitizers and valgrind want to be loaded first', 5
        if $GoConnect::Server::SAN || $GoConnect::Server::VALGRIND;
    skip 'libfaketime is not installed: run make deps', 5 if !$fake;
    my $late = do {
        local @ENV{qw(LD_PRELOAD FAKETIME FAKETIME_DONT_FAKE_MONOTONIC)} = ($fake, '+40s', 1);
        $nodes->add(workers => 1);
    };
    my ($date) = $late->_new_ua->get($late->url . '/healthz')->res->headers->date // '';
    cmp_ok(Mojo::Date->new($date)->epoch, '>', time + 20, 'a node whose clock is ahead');
    my $eve = $late->register('eve');
    is +($a->api(GET => '/v1/auth/me', undef, token => $eve->{token}))[0], 200,
        'its tokens are good at the others at once';
    is $b->ws(token => $eve->{token})->expect('hello')->{data}{user}{username}, 'eve', 'and open a WebSocket';
    my $ticket = $a->must(201, POST => '/v1/ws/ticket', undef, @ada)->{ticket};
    is $late->ws(ticket => $ticket)->expect('hello')->{data}{user}{username}, 'ada',
        'the 30 s of a ticket are those of the database';
    my $ear = subscriber($late, $ada->{token}, $topic);
    $a->must(201, POST => "/v1/tenants/$t->{id}/messages", { content => 'tick' }, @ada);
    is $ear->expect('chat_message', timeout => $WAIT)->{data}{content}, 'tick', 'it hears what is said';
}

# ------------------------------------------------------------------------- updates

# a schema that says it still serves this release; then one that does not
my ($version, $from) = split /\|/, $nodes->sql('SELECT version, compatible_from FROM goconnect.schema_version');
$nodes->sql('UPDATE goconnect.schema_version SET version = version + 1');
for my $node (@node) {
    is +($node->api(GET => '/readyz'))[0], 200, 'the schema is a release ahead: nodes of this one serve';
}
$b->restart;
is +($b->api(GET => '/readyz'))[0], 200, 'even if one starts anew';
$nodes->sql('UPDATE goconnect.schema_version SET compatible_from = version');
until_true('a schema that leaves this release behind makes nodes not ready', sub {
    2 == grep { ($_->api(GET => '/readyz'))[0] == 503 } @node });
$nodes->sql("UPDATE goconnect.schema_version SET version = $version, compatible_from = $from");
until_true('and one that does not, ready', sub { 2 == grep { ($_->api(GET => '/readyz'))[0] == 200 } @node });

# -------------------------------------------------------------- one is taken out

my $told = subscriber($b, $ada->{token}, $topic);
$a->must(201, POST => "/v1/tenants/$t->{id}/messages", { content => 'before' }, @ada);
my $known = $told->expect(sub { ($_[0]{data}{content} // '') eq 'before' }, timeout => $WAIT)->{seq};
$nodes->halt(1);
is $told->closed($WAIT), 1012, 'a node that ends sends its sockets away';
my ($bye) = grep { $_->{type} eq 'error' } $told->frames;
ok defined $bye->{data}{retry_after}, 'and says when to come back';
$a->must(201, POST => "/v1/tenants/$t->{id}/messages", { content => "while away $_" }, @ada) for 1 .. 5;
my $resumed = $a->ws(@ada);
$resumed->expect('hello');
$resumed->ask(subscribe => { topics => [ { topic => $topic, seq => $known } ] });
is_deeply [ map { $resumed->expect('chat_message', timeout => $WAIT)->{data}{content} } 1 .. 5 ],
    [ map { "while away $_" } 1 .. 5 ], 'the other node has all that was missed, in order';
$nodes->up(1);
my $again = subscriber($b, $ada->{token}, $topic);
$a->must(201, POST => "/v1/tenants/$t->{id}/messages", { content => 'together' }, @ada);
is $again->expect('chat_message', timeout => $WAIT)->{data}{content}, 'together', 'it comes back into the server';

$nodes->stop;
done_testing;
