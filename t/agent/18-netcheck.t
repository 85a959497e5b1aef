# goconnect netcheck: routers of every kind before a host, and a STUN server
# beyond them.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;

my ($lab, $plane, $a) = lab_with_agent();
my $outside = $lab->host('outside');
my $router = $lab->middle;

# Our host's LAN is on lan1; outside, on lan2, knows the router as 198.51.2.1
# and its LAN not at all. Two addresses are the server's, and two of IPv6.
$router->must('sh', '-c', 'ip address flush dev lan1 scope global; ip address add 192.168.77.1/24 dev lan1; '
    . 'ip address add 2001:db8:1::1/64 dev lan1 nodad');
$a->host->must('sh', '-c', 'ip -4 address flush dev eth0 scope global; ip address add 192.168.77.10/24 dev eth0; '
    . 'ip route replace default via 192.168.77.1');
$outside->must('sh', '-c', 'ip address add 198.51.2.20/24 dev eth0; ip address add 2001:db8:2::20/64 dev eth0 nodad; '
    . 'ip route add 192.168.77.0/24 via 198.51.2.1');

my $server;
sub server {
    my (@addresses) = @_;
    $outside->stop($server) if $server;
    my $before = () = $outside->log('stun') =~ /ready/g;
    $server = $outside->start('stun', 'perl', "$FindBin::Bin/lib/stun-server", @addresses);
    until_true(sub { (() = $outside->log('stun') =~ /ready/g) > $before }) or die 'no server: ' . $outside->log('stun');
}

sub router {
    my ($rules) = @_;
    $router->run('nft', 'delete table inet nat');
    $router->must('nft', "table inet nat {\n$rules\n}");
}

sub masquerade { 'chain post { type nat hook postrouting priority 100; meta nfproto ipv4 oifname "lan2" masquerade '
    . "$_[0]; }\n" }

# no stranger gets to the router itself
my $closed = "chain in { type filter hook input priority 0; iifname \"lan2\" ct state new drop; }\n";

sub check { return $a->json('netcheck', @_) }

my $json = JSON::PP->new->canonical->allow_nonref;

sub finds {
    my ($side, $mapping, $filtering, $nat, $kept, $name) = @_;
    is $json->encode([ map { $side->{$_} } qw(answered mapping filtering nat port_kept) ]),
        $json->encode([ JSON::PP::true, $mapping, $filtering, map { $_ ? JSON::PP::true : JSON::PP::false } $nat, $kept ]),
        $name or diag $json->encode($side);
}

my ($FREE, $ADDRESS, $BOTH) = qw(endpoint_independent address_dependent address_and_port_dependent);

server(qw(198.51.2.10 198.51.2.20 2001:db8:2::10 2001:db8:2::20));

subtest 'no NAT' => sub {
    router('');
    my $found = check('198.51.2.10');
    finds($found->{ipv4}, $FREE, $FREE, 0, 1, 'IPv4');
    like $found->{ipv4}{mapped}, qr/^192\.168\.77\.10:$found->{port}$/, 'seen as what it is';
    is $found->{server}, '198.51.2.10:3478', 'by whom';
    is $found->{ipv6}, undef, 'an address of IPv4 has no IPv6';
    is $found->{network}, undef, 'no network is up: another port is asked from';
    finds(check('2001:db8:2::10')->{ipv6} // check('[2001:db8:2::10]')->{ipv6}, $FREE, $FREE, 0, 1, 'IPv6');
};

subtest 'a router that keeps ports' => sub {
    router(masquerade('') . $closed);
    my $found = check('198.51.2.10');
    finds($found->{ipv4}, $FREE, $BOTH, 1, 1, 'a cone that lets in whom it knows');
    is $found->{ipv4}{mapped}, "198.51.2.1:$found->{port}", 'seen as the router';

    router(masquerade(''));
    finds(check('198.51.2.10')->{ipv4}, $FREE, $BOTH, 1, 1, 'the same without a filter of its own');
};

subtest 'a router that gives everybody another port' => sub {
    router(masquerade('random,fully-random') . $closed);
    my ($status, $said) = $a->cli('netcheck', '198.51.2.10');
    is $status, 0, 'for people' or diag $said;
    like $said, qr/another one towards everybody \(symmetric\)/, 'it says so';
    like $said, qr/lets in: only the very port/, 'and who is let in';
};

subtest 'a stateful firewall, IPv6' => sub {
    router('chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; '
        . 'iifname "lan1" accept; }');
    finds(check('[2001:db8:2::10]:3478')->{ipv6}, $FREE, $BOTH, 0, 1, 'no NAT, and strangers stay out');
};

subtest 'UDP is blocked' => sub {
    router('chain forward { type filter hook forward priority 0; meta l4proto udp drop; }');
    my ($status, $said) = $a->cli('netcheck', '198.51.2.10:3478', '--json');
    is $status, 1, 'exit code 1';
    my $found = decode_json($said);
    like $found->{ipv4}{error}, qr/UDP is blocked/, 'it says so';
    is $found->{ipv4}{answered}, JSON::PP::false, 'nobody has answered';
    is $found->{ipv4}{mapped}, undef, 'nothing is known';
};

subtest 'a server with one address' => sub {
    server('198.51.2.10');
    router(masquerade(''));
    finds(check('198.51.2.10')->{ipv4}, 'not_port_dependent', 'port_dependent', 1, 1,
        'tells by its ports, though the router lets all in to itself');
};

subtest 'WireGuard\'s own port' => sub {
    router(masquerade('') . $closed);
    # the control plane's host speaks no STUN
    $a->must('login', $plane->url, @{ $a->login_options });
    my $network = $plane->network('Lan');
    $a->must('join', $network->{link});
    my $port = $a->network_of('Lan')->{listen_port};
    my $found = check('198.51.2.10');
    is $found->{network}, 'Lan', 'is asked from once there is a network';
    is $found->{port}, $port, '... which listens there';
    is $found->{ipv4}{mapped}, "198.51.2.1:$port", 'so that is how others see it';
    ok exists $found->{port_mapping}{error}, 'and what the router says';
    my ($status, $said) = $a->cli('netcheck', '--json');
    is $status, 1, 'without a name the control plane is asked';
    is decode_json($said)->{server}, "$GoConnect::Lab::SERVER:3478", '... at the usual port' or diag $said;
};

subtest 'what is wrong' => sub {
    for my $text ('', 'a/b', 'http://198.51.2.10', 'x:y', "x\ny", ':3478', '198.51.2.10:99999') {
        my ($status, $said) = $a->cli('netcheck', $text);
        isnt $status, 0, "\"$text\" is refused";
        like $said, qr/is not HOST or HOST:PORT/, 'and said what is meant';
    }
    my ($status, $said) = $a->cli('netcheck', 'no-such-host.invalid');
    isnt $status, 0, 'a name that is none';
    like $said, qr/no-such-host/, 'is said';
};

subtest 'two at once, and an end in between' => sub {
    # nobody has this address: whoever is first waits for seconds
    my @asking = map { IO::Socket::UNIX->new(Peer => '/proc/' . $a->host->pid . '/root/run/goconnect/goconnectd.sock')
        // die "control socket: $!" } 1 .. 2;
    syswrite $_, qq({"command":"netcheck","server":"198.51.2.99"}\n) for @asking;
    my ($first) = IO::Select->new(@asking)->can_read(60);
    my $answer = decode_json(scalar <$first>);
    is $answer->{code}, 'busy', 'one is looked at, the other told so';
    close $_ for @asking;
    ($answer) = $a->json('status');
    is $answer->{control}, 'connected', 'who goes away harms nobody';
};

is $a->stop, 0, 'goconnectd ends with 0';
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';
$lab->destroy;
done_testing;
