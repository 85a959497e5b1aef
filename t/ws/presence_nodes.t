# Who is here when workers and nodes end: a reload is told to nobody, a killed
# worker's sockets have their time, a killed node's are told of as gone, and a
# database that crashed knows it all again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Nodes;
use GoConnect::Presence;
use GoConnect::Server;
use Test::More;
use Time::HiRes qw(time);

my $full = $ENV{GOCONNECT_FULL};
my $nodes = GoConnect::Nodes->start(count => 2, workers => 2, cluster => 'own');
my ($one, $two) = $nodes->all;
my %user = map { $_ => $one->register($_) } qw(ada bob marker);
my @ada = (token => $user{ada}{token});
my $t = $one->must(201, POST => '/v1/tenants',
    { name => 'Hall', visibility => 'public', access => 'open' }, @ada);
my $n = $one->must(201, POST => "/v1/tenants/$t->{id}/networks",
    { name => 'lan', visibility => 'public', join_policy => 'open' }, @ada);
for my $name (qw(bob marker)) {
    my @as = (token => $user{$name}{token});
    $one->must(200, POST => "/v1/tenants/$t->{id}/join", {}, @as);
    $one->must(200, POST => "/v1/networks/$n->{id}/join", {}, @as);
}

sub peer {
    my ($name) = @_;
    my $device = $one->device($user{$name}, name => "box-$name");
    my $peer = $one->must(201, POST => "/v1/networks/$n->{id}/peers",
        { public_key => GoConnect::Server::wg_key() }, token => $device->{token});
    return +{ %$device, peer => $peer->{id} };
}

sub open_ws {
    my ($node, $token) = @_;
    my $ws = $node->ws(token => $token);
    $ws->expect('hello', timeout => 60);
    return $ws;
}

sub here {
    my ($count) = @_;
    return $one->_await("$count devices to be here", sub {
        $one->sql('SELECT count(*) FROM goconnect.presence WHERE until IS NULL') == $count;
    }, 60);
}

my $watch = open_ws($two, $user{ada}{token});
$watch->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } }
    "tenant:$t->{id}", "network:$n->{id}" ] });
my $marker = peer('marker');
my @box = map { peer('bob') } 1 .. ($full ? 200 : 30);
my @id = ($user{bob}{id}, map { $_->{peer} } @box);

# Somebody goes after all that happened before.
sub marker {
    my ($node) = @_;
    my $ws = open_ws($node, $marker->{token});
    told($watch, $marker->{peer}, 'online');
    $ws->drop;
    told($watch, $marker->{peer}, 'offline');
    return;
}

sub come {
    my ($node) = @_;
    $_->{ws} = open_ws($node, $_->{token}) for @box;
    return;
}

sub all_told {
    my ($status) = @_;
    my %left = map { $_ => 1 } @id;
    while (%left) {
        my $frame = $watch->expect(sub { states($_[0]) }, timeout => 60);
        delete $left{ $_->[0] } for grep { $_->[1] eq $status } states($frame);
    }
    return 1;
}

come($one);
ok all_told('online'), 'devices and their user are told of';

# ------------------------------------------------- a reload, and killed workers

for (1 .. ($full ? 5 : 1)) {
    $one->reload;
    is $_->{ws}->closed(60), 1012, 'a socket is sent away' for @box[ 0, -1 ];
    $_->{ws}->closed(60) for @box;
    come($one);
}
$one->kill_worker('KILL', $_) for keys %{ $one->worker_pids };
$_->{ws}->closed(60) for @box;
come($one);
here(scalar @box);
marker($two);
# that a new peer is on line may be told twice
is words($watch, @id) =~ s/\bonline\b ?//gr, '', 'neither a reload nor killed workers are told to anybody';

# --------------------------------------------------------------- a killed node

my $begin = time;
$nodes->kill(0);
ok all_told('offline'), 'the end of a killed node is told';
diag sprintf 'after %.1f s', time - $begin;
$nodes->up(0);
is $one->sql('SELECT count(*) FROM goconnect.presence'), 0, 'nothing of it is left';
$_->{ws}->closed(60) for @box;
come($one);
ok all_told('online'), 'they come back';

# ------------------------------------------------------ a database that crashes

my $gone = pop @box;
$nodes->allow(qr/news of presence were missed/,
    qr/\[(?:warn|error)\].*goconnect: .*(?:database|LISTEN|listening)/);
$one->stop_database('immediate');
$gone->{ws}->close;
$one->start_database;
$_->wait_pool for $nodes->all;
ok told($watch, $gone->{peer}, 'offline'), 'who went while the database was away is told of';
here(scalar @box);
is words($watch, map { $_->{peer} } @box) =~ s/\bonline\b ?//gr, '', 'and nobody else as gone';

$_->{ws}->close for @box;
$watch->close;
$nodes->stop;
done_testing;
