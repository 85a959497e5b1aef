# How peers are reached: round trip, loss and path; ping asks for it; and a path
# that swallows large packets is found and mended.

use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP ();
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 1, address => $GoConnect::Lab::SERVER);
my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => 'Lan' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as);

my ($ada, $bob) = map { GoConnect::Device->new($lab, $_) } qw(ada bob);
for my $d ($ada, $bob) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->sees(['bob']), 'ada sees bob';
ok defined $bob->sees(['ada']), 'bob sees ada';

subtest 'ping' => sub {
    my $said;
    ok defined $ada->await(sub { $said = $ada->json('ping', 'bob', '-c', 1) }, 60),
        'bob answers, from nothing';
    is $said->{received}, 1, 'one answer';
    is $said->{answers}[0]{path}, 'direct', 'by a direct path';
    like $said->{answers}[0]{endpoint}, qr/^(?:\Q@{[ $bob->host->address ]}\E:|\[2001:db8:)/,
        'which is bob';
    cmp_ok $said->{min}, '>', 0, 'a round trip';
    diag sprintf 'first ping %.1f ms', $said->{min} / 1000;

    my ($status, $text) = $ada->cli('ping', '-c', 1, $bob->address);
    is $status, 0, 'by address';
    like $text, qr/^1: \d+\.\d{3} ms, direct by \S+:\d+$/m, 'a line';
    is +($ada->cli('ping', '-c', 1, 'bob.lan'))[0], 0, 'by name and network';
    is +($ada->cli('ping', '-c', 0, 'bob'))[0], 2, '0 is no count';
    ($status, $text) = $ada->cli('ping', 'carol');
    is $status, 2, 'nobody of that name';
    like $text, qr/no network of this device has a peer "carol"/, 'and says so';
    is +($ada->cli('ping', 'ada'))[0], 2, 'not oneself';
};

subtest 'what is known of a peer' => sub {
    my $peer;
    ok defined $ada->host->reaches($bob->address, 60), 'ada reaches bob';
    ok defined $ada->await(sub { $peer = $ada->peers->{bob}; $peer->{rtt} && $peer->{mtu} }, 60),
        'the round trip is measured';
    is $peer->{path}, 'direct', 'direct';
    is $peer->{mtu}, 1420, 'full packets pass';
    cmp_ok $peer->{loss}, '<=', 100, 'loss in percent';
};

subtest 'the control socket refuses what makes no sense' => sub {
    my $id = $ada->network->{network_id};
    my $ask = sub {
        my $socket = IO::Socket::UNIX->new(
            Peer => '/proc/' . $ada->host->pid . '/root/run/goconnect/goconnectd.sock')
            or die "control socket: $!";
        print $socket JSON::PP::encode_json($_[0]), "\n";
        $socket->flush;
        return JSON::PP::decode_json(scalar <$socket>);
    };
    my $unknown = '00000000-0000-4000-8000-000000000000';
    for my $case ([ {}, 'unknown_network' ],
        [ { network_id => $unknown, peer_id => $unknown }, 'unknown_network' ],
        [ { network_id => $id }, 'not_found' ],
        [ { network_id => $id, peer_id => 5 }, 'not_found' ],
        [ { network_id => $id, peer_id => 'x' x 5000 }, 'not_found' ],
        [ { network_id => $id, peer_id => $unknown }, 'not_found' ],
        [ { network_id => $id, peer_id => $ada->network->{peer_id} }, 'usage' ]) {
        my ($request, $code) = @$case;
        is $ask->({ command => 'ping', %$request })->{code}, $code, "ping: $code";
    }
};

subtest 'doctor' => sub {
    my ($status, $said) = $ada->cli('doctor');
    is $status, 0, 'nothing fails' or diag $said;
    like $said, qr/^ok    control    connected$/m, 'a line';
    my %level = map { $_->{name} => $_->{level} } @{ $ada->json('doctor')->{checks} };
    is_deeply [ sort keys %level ], [ qw(clock control dns firewall login mtu names networks ports
        rights server wireguard) ], 'all is looked at';
    is $level{clock}, 'ok', 'the clock is the server\'s';

    my $eve = GoConnect::Device->new($lab, 'eve');
    ($status, $said) = $eve->cli('doctor');
    is $status, 1, 'it fails where nobody is logged in';
    like $said, qr/^fail  login .*\n +-> goconnect login URL$/m, 'and says what to do';
    $eve->stop_daemon;
};

subtest 'status --watch' => sub {
    # the second line finds nobody who reads it, and ends it
    my (undef, $line) = $ada->host->run('sh', '-c',
        "$GoConnect::Device::BUILD/goconnect status --watch --json | head -n 1");
    my ($peer) = grep { $_->{name} eq 'bob' }
        @{ JSON::PP::decode_json($line)->{networks}[0]{peer_list} };
    is $peer->{path}, 'direct', 'a line has the status and all peers';
};

# A tunnel or a link on the way that says nothing of what it drops.
subtest 'a path that swallows large packets' => sub {
    my @large = ('ping', '-n', '-q', '-c', 1, '-W', 5, '-s', 1372, $bob->address);
    is +($ada->host->run(@large))[0], 0, 'a large packet passes';
    $lab->middle->must('nft', 'add table inet hole; add chain inet hole forward '
        . '{ type filter hook forward priority 0; }; '
        . 'add rule inet hole forward meta length > 1300 drop');
    isnt +($ada->host->run(@large))[0], 0, 'and does not any more';

    for my $d ($ada, $bob) {
        $d->stop_daemon;
        $d->start_daemon;
    }
    for ([ $ada, 'bob', $bob ], [ $bob, 'ada', $ada ]) {
        my ($d, $name, $to) = @$_;
        ok defined $d->await(sub {
            $d->cli('ping', '-c', 1, $name);
            my $mtu = $d->peers->{$name}{mtu};
            $mtu && $mtu < 1420;
        }, 120), $d->name . ' has found out';
        my $mtu = $d->peers->{$name}{mtu};
        ok $mtu >= 1192 && $mtu <= 1240, "what passes: $mtu";
        my $route = sub { $d->host->must('ip', 'route', 'get', $to->address) };
        ok defined $d->await(sub { $route->() =~ /mtu $mtu\b/ }), 'its route says so';
    }
    is +($ada->host->run(@large))[0], 0, 'a large packet passes, in pieces';

    is +($ada->cli('down'))[0], 0, 'ada goes down';
    unlike $ada->host->must('ip', 'route', 'show', 'proto', 201), qr/\S/, 'no route is left';
};

$_->stop_daemon for $ada, $bob;
$s->stop;
done_testing;
