# Two WireGuards that nobody has taught anything talk by way of the relay: its
# address is where either believes the other to be. Who says REGISTER for them
# does so from their port, before they have it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Lab;
use GoConnect::RelayPeer;
use GoConnect::Server;
use MIME::Base64 qw(decode_base64);
use Test::More;

my $RELAY = '7d0f5c2e-0000-4000-8000-00000000d44e';
my ($PORT, $UDP, $LOAD) = (51820, 3478, 8 << 20);

my $lab = GoConnect::Lab->new;
my @host = map { $lab->host($_) } qw(a b);
$lab->enter;

my $keys = GoConnect::Server::make_keys();
my ($master) = map { decode_base64($_) } $keys =~ /^relay \S+ (\S+)$/m;
my $server = $GoConnect::Lab::SERVER;
my $s = GoConnect::Server->start(workers => 2, keys => $keys, address => $server,
    http => "goconnect_relay $RELAY listen=$server:$UDP peers=100 state=relay.state;");
my $world = GoConnect::RelayPeer::World->new(relay => $RELAY, master => $master, to => [ $server, $UDP ]);

sub counted {
    my ($result) = @_;
    return $s->ua->get($s->url . '/counters')->res->body =~ /^goconnect_relay_packets_total\{result="$result"\} (\d+)/m
        ? $1 : die "no counter for $result";
}

# A socket that is made in a host's network.
sub socket_at {
    my ($host) = @_;
    open my $there, '<', $host->netns or die $!;
    GoConnect::Lab::setns($there);
    my $socket = IO::Socket::IP->new(Proto => 'udp', PeerHost => $server, PeerPort => $UDP, LocalPort => $PORT);
    $lab->enter;
    return $socket // die "no socket: $@";
}

my @key;
for my $host (@host) {
    chomp(my $private = $host->must('wg', 'genkey'));
    chomp(my $public = $host->must({ input => $private }, 'wg', 'pubkey'));
    push @key, { private => $private, public => $public, file => $lab->dir . '/' . $host->name . '.key' };
    open my $fh, '>', $key[-1]{file} or die $!;
    print $fh $private;
    close $fh;
    $host->start('wireguard', 'wireguard-go', '-f', 'wg0');
    $host->must('sh', '-c', 'until wg show wg0 >/dev/null 2>&1; do sleep 0.05; done');
}

# from now on there are 75 s
for my $i (0, 1) {
    my $peer = $world->peer(public_key => decode_base64($key[$i]{public}), socket => undef);
    $peer->{socket} = socket_at($host[$i]);
    is $peer->register->{class}, 'success', $host[$i]->name . ' registers';
    close $peer->{socket};
}
for my $i (0, 1) {
    $host[$i]->must('wg', 'set', 'wg0', 'listen-port', $PORT, 'private-key', $key[$i]{file}, 'peer', $key[1 - $i]{public},
        'allowed-ips', '10.9.0.' . (2 - $i) . '/32', 'endpoint', "$server:$UDP");
    $host[$i]->must('sh', '-c', 'ip address add 10.9.0.' . ($i + 1) . '/24 dev wg0 && ip link set wg0 up');
}

sub shaken { return (split ' ', $host[0]->must('wg', 'show', 'wg0', 'latest-handshakes'))[1] }

sub pings {
    my ($name, @option) = @_;
    my ($status, $said) = $host[0]->run({ timeout => 60 }, 'ping', '-n', '-q', '-W', '10', @option, '10.9.0.2');
    my ($sent, $got) = $said =~ /(\d+) packets transmitted, (\d+) received/;
    return ok($status == 0 && $sent == $got, $name) || diag $said;
}

ok defined $host[0]->reaches('10.9.0.2', 60), 'they reach each other';
my $first = shaken();
pings('fifty more', '-c', 50, '-i', '0.01');
like $host[1]->must('wg', 'show', 'wg0', 'endpoints'), qr/\t\Q$server:$UDP\E$/m, 'by the relay, and by it alone';
cmp_ok counted('forwarded'), '>=', 104, 'which has forwarded them all';

my $child = fork // die "fork: $!";
if (!$child) {
    $s->reload for 1 .. 2;
    POSIX::_exit(0);
}
pings('two reloads in the middle of it: nothing is lost', '-c', 200, '-i', '0.01');
waitpid $child, 0;
$s->remember;

$s->halt;
$s->restart;
pings('a restart', '-c', 10, '-i', '0.01');
is shaken(), $first, '... needs no new handshake';

# Much, by a way that is too narrow for it: what leaves as a train cannot there.
$lab->middle->must(qw(ip route replace 198.51.2.0/24 dev lan2 mtu lock 1000));
my $file = $lab->dir . '/load';
open my $fh, '>', $file or die $!;
print $fh pack 'N*', map { int rand 2**32 } 1 .. $LOAD / 4;
close $fh;
$host[1]->start('sink', 'socat', '-u', 'TCP-LISTEN:7,reuseaddr', "CREATE:$file.got");
$host[0]->must({ timeout => 120 }, 'socat', '-u', "FILE:$file", 'TCP:10.9.0.2:7,retry=100,interval=0.05');
$host[1]->must({ timeout => 60 }, 'sh', '-c', "until [ \"\$(stat -c %s '$file.got')\" = $LOAD ]; do sleep 0.02; done");
is system('cmp', '-s', $file, "$file.got"), 0, 'a file arrives whole, though its packets do not fit into the way';

$s->stop;
$lab->destroy;
done_testing;
