# The database goes away and comes back: sockets stay, and miss nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = GoConnect::Server->start(workers => 2, cluster => 'own', fsync => 1,
    allow => qr/goconnect: .*(database|bus)/);
my $ada = $s->register('ada');
my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
my $n = $s->must(201, POST => "/v1/tenants/$t->{id}/networks", { name => 'lan' },
    token => $ada->{token});
$s->must([ 200, 204 ], POST => "/v1/networks/$n->{id}/join", {}, token => $ada->{token});
my $topic = "network:$n->{id}";

sub uuid { sprintf '%08x-0000-4000-8000-%012x', rand 2**32, rand 2**40 }

my $device = $s->device($ada);
my $box = $s->ws(token => $device->{token});
$box->expect('hello');
my $peer = $s->must(201, POST => "/v1/networks/$n->{id}/peers",
    { public_key => GoConnect::Server::wg_key() }, token => $device->{token});
my @ws = map { $s->ws(token => $ada->{token}) } 1 .. 6;
for my $ws (@ws) {
    $ws->expect('hello');
    $ws->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] });
}

sub online {
    my ($ws, $word) = @_;
    return $ws->expect(sub {
        $_[0]{type} eq 'peer_status'
            && grep { $_->{status} eq $word } $_[0]{data}{peers} ? @{ $_[0]{data}{peers} } : $_[0]{data};
    }, timeout => 30);
}
ok online($ws[0], 'online'), 'the device is online';

for my $mode (qw(fast immediate)) {
    $s->stop_database($mode);
    my $answer = $ws[0]->ask(chat_send =>
        { network_id => $n->{id}, content => 'lost', key => uuid() });
    is $answer->{data}{status}, 503, "$mode: without a database 503";
    is $ws[1]->ask('ping')->{type}, 'ok', "$mode: sockets stay";
    my $knock = $s->ws(token => $ada->{token});
    is $knock->closed, 1013, "$mode: a new one is told to try again later";

    $s->start_database;
    $s->wait_pool;
    my ($key, $sent) = (uuid());
    my $end = time + 30;
    do {
        $sent = $ws[0]->ask(chat_send => { network_id => $n->{id}, content => "after $mode", key => $key });
        sleep 0.05 if $sent->{type} ne 'ok';
    } while $sent->{type} ne 'ok' && time < $end;
    is $sent->{type}, 'ok', "$mode: the database is back";
    for my $i (0 .. $#ws) {
        my $event = $ws[$i]->expect(sub {
            $_[0]{type} eq 'chat_message' && $_[0]{data}{content} eq "after $mode" }, timeout => 30);
        is $event->{seq}, $sent->{data}{seq}, "$mode: the event reaches socket $i";
    }
    is $box->ask('ping')->{type}, 'ok', "$mode: the device's socket stays";
}

# a crash empties what is not logged: presence is told again
my $seen = 0;
my $end = time + 30;
while (!$seen && time < $end) {
    $seen = $s->sql('SELECT count(*) FROM goconnect.presence');
    sleep 0.1 if !$seen;
}
is $seen, 1, 'presence is complete again';

# a device that goes while nobody can be told is told of later
$s->stop_database('fast');
$box->close;
$ws[0]->ask('ping');
$s->start_database;
$s->wait_pool;
ok online($ws[0], 'offline'), 'a device that went meanwhile is off line';

$_->close for @ws;
$s->stop;
done_testing;
