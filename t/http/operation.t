# What those who run a server ask for, and how it answers under load: a burst
# of logins, many at once, clients that go away.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Contract;
use GoConnect::Server;
use GoConnect::World;
use IO::Socket::INET;
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use Test::More;
use Time::HiRes qw(sleep time);
use YAML::XS ();

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my $home = $w->{home};

# ------------------------------------------------------------------ operation

is $w->must(200, 'healthz')->{status}, 'ok', 'healthz';
is $w->must(200, 'readyz')->{status}, 'ready', 'readyz';
is $w->must(200, 'info')->{name}, 'GoConnect', 'info';
{
    local $YAML::XS::Boolean = 'JSON::PP';
    is_deeply decode_json(encode_json($w->must(200, 'openapi'))),
        decode_json(encode_json(YAML::XS::LoadFile("$GoConnect::Server::ROOT/html/openapi.yaml"))),
        'the server publishes its contract';
}
my (undef, undef, $tx) = $w->call('healthz', headers => { 'X-Request-Id' => 'evil' });
like $tx->res->headers->header('X-Request-Id'), qr/^[0-9a-f]{32}\z/, 'the request id is ours';
my ($line) = grep { /healthz/ } reverse split /\n/, do {
    open my $fh, '<', $s->dir . '/access.log' or die $!;
    local $/;
    <$fh>;
};
like $line, qr/\Q@{[ $tx->res->headers->header('X-Request-Id') ]}\E/, 'and the access log has it';

# the module sees a database of another release, or one that lost its grants
$s->sql('UPDATE goconnect.schema_version SET version = version + 5, compatible_from = version + 4');
is $w->is(503, 'not_ready', 'too new a database', 'readyz')->{detail},
    'The database is too new for this release.', 'it says why';
$s->sql('UPDATE goconnect.schema_version SET version = 1, compatible_from = 1');
is $w->must(200, 'readyz')->{status}, 'ready', 'ready again';

# ---------------------------------------------------------------- concurrency

# Requests at once: [method, path, body, token] ...; returns the answers in order.
sub at_once {
    my (@request) = @_;
    my $ua = Mojo::UserAgent->new(request_timeout => 60, inactivity_timeout => 60,
        max_connections => 0);
    my @answer;
    my $left = @request;
    for my $i (0 .. $#request) {
        my ($method, $path, $body, $token) = @{ $request[$i] };
        my $built = $ua->build_tx($method => $s->url . $path,
            { $token ? (Authorization => "Bearer $token") : () }, $body ? (json => $body) : ());
        my $begin = time;
        $ua->start($built => sub {
            my ($agent, $done) = @_;
            $answer[$i] = { status => $done->res->code // 0, json => $done->res->json,
                time => time - $begin };
            Mojo::IOLoop->stop if !--$left;
        });
    }
    Mojo::IOLoop->start;
    return @answer;
}

sub count {
    my (@answer) = @_;
    my %n;
    $n{ $_->{status} }++ for @answer;
    return join ' ', map { "$_:$n{$_}" } sort keys %n;
}

# a burst of logins does not stall the workers
my $pid = fork // die $!;
if (!$pid) {
    my @burst = at_once(map { [ POST => '/v1/auth/login',
        { username => 'owner-x', password => $GoConnect::Server::PASSWORD } ] } 1 .. 24);
    my $bad = grep { $_->{status} != 200 && $_->{status} != 503 } @burst;
    my $good = grep { $_->{status} == 200 } @burst;
    POSIX::_exit($bad ? 2 : $good ? 0 : 3);
}
my (@slow, $polls, $code);
while (waitpid($pid, POSIX::WNOHANG()) == 0) {
    my $begin = time;
    my ($status) = $s->api(GET => '/healthz');
    push @slow, time - $begin if $status == 200;
    $polls++;
    sleep 0.01;
}
$code = $? >> 8;
is $code, 0, 'a burst of logins is answered, or asked to wait';
is scalar(@slow), $polls, 'healthz answered meanwhile, each time';
@slow = sort { $a <=> $b } @slow;
cmp_ok $slow[ int @slow / 2 ], '<', 0.5, 'without waiting for them';

# one invite for one, and twenty who want it
my @crowd = map { $s->register("crowd-$_") } 1 .. 12;
my $one = $w->must(201, 'invites_create', as => 'owner', path => [ $home->{tenant} ],
    body => { max_uses => 1 });
my @accept = at_once(map { [ POST => "/v1/invites/$one->{code}/accept", undef, $_->{token} ] } @crowd);
is count(@accept), '200:1 404:11', 'a one-use invite is used once';

# everybody in, and their devices at once: no address twice
my $all = $w->must(201, 'invites_create', as => 'owner', path => [ $home->{tenant} ],
    body => { network_id => $home->{network} });
@accept = at_once(map { [ POST => "/v1/invites/$all->{code}/accept", undef, $_->{token} ] } @crowd);
is count(@accept), '200:12', 'an invite for all, at once';
my @device = at_once(map { my $user = $_; map { [ POST => '/v1/devices',
    { name => "d$_", platform => 'linux', public_key => $s->wg_key }, $user->{token} ] } 1 .. 5 } @crowd);
is count(@device), '201:60', 'sixty devices at once';
my @peer = at_once(map { [ POST => "/v1/networks/$home->{network}/peers",
    { public_key => $s->wg_key }, $_->{json}{access_token} ] } @device);
my $counted = count(@peer);
# a lock that is waited for too long is 503, and then nothing was done
like $counted, qr/^201:\d+(?: 503:\d+)?\z/, "sixty peers at once: $counted";
my %address = map { $_->{json}{ip_address} => 1 } grep { $_->{status} == 201 } @peer;
is scalar(keys %address), scalar(grep { $_->{status} == 201 } @peer), 'each an address of its own';
is $s->sql("SELECT count(*) FROM goconnect.peers WHERE network_id = '$home->{network}'"),
    1 + keys %address, 'and no more';

# chat: numbers without a gap, whoever writes
my @chat = at_once(map { [ POST => "/v1/networks/$home->{network}/messages",
    { content => "m$_" }, $crowd[ $_ % @crowd ]{token} ] } 1 .. 80);
$counted = count(@chat);
like $counted, qr/^201:\d+(?: 503:\d+)?\z/, "eighty messages at once: $counted";
my @number = sort { $a <=> $b } map { $_->{json}{number} } grep { $_->{status} == 201 } @chat;
is_deeply \@number, [ 1 .. @number ], 'numbered without a gap';
my @seq = sort { $a <=> $b } map { $_->{json}{seq} } grep { $_->{status} == 201 } @chat;
is $seq[-1] - $seq[0] + 1, scalar(@seq), 'and in one sequence';

# a name for one
@accept = at_once(map { [ POST => '/v1/auth/register',
    { username => ($_ % 2 ? 'Racer' : 'racer'), password => 'correct horse' } ] } 1 .. 8);
# too many hashes at once are asked to come back
like count(@accept), qr/^201:1 409:\d(?: 503:\d)?\z/, 'a username is taken once';

# an idempotency key, used at once
my $key = $s->sql('SELECT gen_random_uuid()') =~ s/\s//gr;
{
    my $ua = Mojo::UserAgent->new(max_connections => 0);
    my (@status, $left);
    for (1 .. 8) {
        $left++;
        my $built = $ua->build_tx(POST => $s->url . "/v1/networks/$home->{network}/messages",
            { Authorization => 'Bearer ' . $w->token('member'), 'Idempotency-Key' => $key },
            json => { content => 'only once' });
        $ua->start($built => sub {
            push @status, $_[1]->res->code // 0;
            Mojo::IOLoop->stop if !--$left;
        });
    }
    Mojo::IOLoop->start;
    is scalar(grep { $_ != 201 && $_ != 503 } @status), 0, "one key at once: @status";
    is $s->sql("SELECT count(*) FROM goconnect.messages WHERE content = 'only once'"), 1,
        'written once';
}

# ------------------------------------------------------------------- clients

# Clients that go away in the middle do not disturb the others, and what they
# asked for is not leaked (stop checks connections and descriptors).
my $token = $w->token('member');
my $text = encode_json({ content => 'from one who leaves' });
my @part = (
    "GET /v1/networks/$home->{network}/peers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n",
    "POST /v1/networks/$home->{network}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n"
        . "Content-Type: application/json\r\nContent-Length: " . length($text) . "\r\n\r\n$text",
    "POST /v1/networks/$home->{network}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n"
        . "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"content\":",
    "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n"
        . '{"username":"member-x","password":"wrong horse"}',
    "GET /v1/auth/me HTTP/1.1\r\nHost",
);
for my $round (1 .. 40) {
    for my $part (@part) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die $!;
        setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'II', 1, 0
            if $round % 2;
        print {$socket} $part;
        $socket->flush;
        sleep 0.001 if $round % 3;
        close $socket;
    }
    if ($round % 10 == 0) {
        is $w->must(200, 'auth_me', as => 'member')->{user}{username}, 'member-x',
            'the others are served';
    }
}
my @still = at_once(map { [ GET => "/v1/networks/$home->{network}/peers", undef, $token ] } 1 .. 20);
is count(@still), '200:20', 'and go on being served';

# ------------------------------------------------------------------- reload

$s->reload;
is $w->must(200, 'auth_me', as => 'member')->{user}{username}, 'member-x', 'after a reload';

$s->stop;
done_testing;
