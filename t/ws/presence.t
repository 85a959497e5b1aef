# A device that was on line before it had its peer: no coming tells of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = GoConnect::Server->start(workers => 2);
my $ada = $s->register('ada');
my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
my $n = $s->must(201, POST => "/v1/tenants/$t->{id}/networks", { name => 'lan' },
    token => $ada->{token});
my $watcher = $s->ws(token => $ada->{token});
$watcher->expect('hello');
$watcher->ask(subscribe => { topics => [ { topic => "network:$n->{id}", seq => undef } ] });

my $device = $s->device($ada, name => 'early');
my $ws = $s->ws(token => $device->{token});
$ws->expect('hello');
my $until = time + 30;
sleep 0.05
    while time < $until
    && !$s->must(200, GET => "/v1/devices/$device->{id}", undef, token => $ada->{token})->{online};

my %peer = (public_key => GoConnect::Server::wg_key(), endpoints => ['192.0.2.1:51820']);
my $peer = $s->must(201, POST => "/v1/networks/$n->{id}/peers", \%peer, token => $device->{token});
is $watcher->expect('netmap_delta')->{data}{upsert}[0]{id}, $peer->{id}, 'the peer is there';
my $status = $watcher->expect('peer_status');
is_deeply $status->{data}, { network_id => $n->{id}, peer_id => $peer->{id}, status => 'online',
    endpoint => '192.0.2.1:51820' }, 'and on line';
ok !exists $status->{seq}, 'which is a state, without seq';

$s->must(200, POST => "/v1/networks/$n->{id}/peers", { %peer, name => 'renamed' },
    token => $device->{token});
is $watcher->expect('netmap_delta')->{data}{upsert}[0]{name}, 'renamed', 'a change';
is $watcher->expect('peer_status')->{data}{status}, 'online', 'keeps it on line';

$_->close for $ws, $watcher;
$s->stop;
done_testing;
