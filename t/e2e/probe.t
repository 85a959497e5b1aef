# How peers are reached: round trip, loss and path; ping asks for it; and a path
# that swallows large packets is found and mended.

use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP ();
use Test::More;
use GoConnect::Device;
use GoConnect::Scenario;
use GoConnect::Scenario::Probe;

my $w = GoConnect::Scenario->begin;
my ($ada, $bob) = map { $w->device($_) } qw(ada bob);
my $p = GoConnect::Scenario::Probe::play($w, $ada, $bob);

subtest 'what ping is asked' => sub {
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
    is_deeply [ sort keys %level ], [ qw(clock control dns firewall lan login mtu names networks ports
        rights server wireguard) ], 'all is looked at';
    is $level{clock}, 'ok', 'the clock is the server\'s';

    my $firewall = sub {
        my ($row) = grep { $_->{name} eq 'firewall' } @{ $ada->json('doctor')->{checks} };
        return "$row->{level}: $row->{text}; " . ($row->{fix} // '');
    };
    like $firewall->(), qr/^ok: .*no other firewall/, 'no other firewall';
    $ada->host->must('nft', 'table inet own { chain in { type filter hook input priority 50;'
        . ' policy drop; ct state established,related accept; }; }');
    like $firewall->(), qr/^warn: .*chain inet own in drops.*; nft insert rule inet own in iifname "gc-/,
        'one that drops is named, and what to do';
    my ($fix) = $firewall->() =~ /; (nft insert .*); and/;
    $ada->host->must('sh', '-c', $fix);
    like $firewall->(), qr/^ok: inet own in drops what it does not know; it knows/, 'which helps';
    $ada->host->must('nft', 'delete table inet own');

    my $eve = GoConnect::Device->new($w->lab, 'eve');
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

subtest 'a path that swallows large packets' => sub { $p->narrow };

$w->end;
done_testing;
