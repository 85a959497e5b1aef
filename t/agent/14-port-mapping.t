# Ports opened at a router: Debian's miniupnpd on nftables, in front of a host
# with a private address.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;

my ($lab, $plane, $a) = lab_with_agent(no_daemon => 1);
my $outside = $lab->host('outside');
my $router = $lab->middle;

# The router has the LAN of our host on one side, and on the other a public
# address, 203.0.114.1, by which the outside knows it.
$router->must('sh', '-c', 'ip address flush dev lan1 scope global && ip address add 192.168.77.1/24 dev lan1 && ip address add 203.0.114.1/24 dev lan2');
$router->must('nft', <<'NFT');
table inet filter {
    chain forward { type filter hook forward priority 0; jump miniupnpd; }
    chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd;
        ip saddr 192.168.77.0/24 oifname "lan2" masquerade; }
    chain miniupnpd { }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
NFT
$a->host->must('sh', '-c', 'ip address flush dev eth0 scope global && ip address add 192.168.77.10/24 dev eth0 && '
    . 'ip route replace default via 192.168.77.1');
$outside->must('ip', 'address', 'add', '203.0.114.10/24', 'dev', 'eth0');

my $upnpd;
sub router {
    my (@lines) = @_;
    $router->stop($upnpd) if $upnpd;
    my $conf = $lab->dir . '/miniupnpd.conf';
    open my $fh, '>', $conf or die $!;
    print $fh "$_\n" for 'ext_ifname=lan2', 'ext_ip=203.0.114.1', 'listening_ip=lan1', 'port=0', 'http_port=0',
        'secure_mode=yes', 'uuid=00000000-0000-4000-8000-000000000077',
        'allow 1024-65535 192.168.77.0/24 1024-65535', @lines;
    close $fh;
    $upnpd = $router->start('miniupnpd', 'miniupnpd', '-d', '-f', $conf, '-P', $lab->dir . '/miniupnpd.pid');
    # it listens, or, speaking neither, does for another thing
    until_true(sub { $router->must('ss', '-lnu') =~ /:5351\b/ }) or die $router->log('miniupnpd')
        if grep { $_ eq 'enable_natpmp=yes' } @lines;
    return;
}

sub mapping { $a->network_of('Lan')->{port_mapping} }
sub mapped { (mapping() // {})->{endpoint} // '' }
sub opened { $router->must('nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd') =~ / dport (\d+) .*dnat ip to 192\.168\.77\.10:(\d+)/ ? "$1 $2" : '' }

# Endpoints as the server was told of them last.
sub told { my @frames = $plane->frames('endpoints'); return @frames ? $frames[-1]{data}{endpoints} : [] }

my $conf = $a->host->home . '/goconnectd.conf';
$a->host->must('sh', '-c', ": > $conf");
$a->{args} = [ '--insecure', '--config', $conf ];
router('enable_upnp=no', 'enable_natpmp=yes');
$a->daemon;
$a->must('login', $plane->url, @{ $a->login_options });
my $lan = $plane->network('Lan');
$a->must('join', $lan->{link});
my $port = $a->network_of('Lan')->{listen_port};

subtest 'PCP' => sub {
    ok until_true(sub { mapped() eq "203.0.114.1:$port" }), 'the port is open' or diag explain mapping();
    is mapping()->{protocol}, 'pcp', '... by PCP';
    is opened(), "$port $port", '... at the router';
    ok until_true(sub { grep { $_ eq "203.0.114.1:$port" } @{ told() } }), 'the server is told of it';
    ok scalar(grep { $_ eq "192.168.77.10:$port" } @{ told() }), '... and of the address on the LAN';

    $a->host->must('nft', 'add table inet seen; add chain inet seen in { type filter hook input priority 0; }; '
        . "add rule inet seen in ip saddr 203.0.114.10 udp dport $port counter");
    ok until_true(sub {
        $outside->must('perl', '-MIO::Socket::INET', '-e', 'IO::Socket::INET->new(PeerAddr => shift, Proto => "udp")'
            . '->send("hello")', "203.0.114.1:$port");
        $a->host->must('nft', 'list', 'table', 'inet', 'seen') !~ /packets 0 /;
    }), 'what comes from outside arrives';

    $a->stop('KILL');
    $a->daemon;
    ok until_true(sub { mapped() eq "203.0.114.1:$port" }), 'a killed goconnectd has it again';

    $a->must('down', 'lan');
    ok until_true(sub { opened() eq '' }), 'down gives it back';
    is mapped(), '', '... and says so';
    ok until_true(sub { !grep { /^203/ } @{ told() } }), '... to the server too';
};

subtest 'UPnP' => sub {
    router('enable_upnp=yes', 'enable_natpmp=no');
    $a->must('up', 'lan');
    ok until_true(sub { mapped() eq "203.0.114.1:$port" }, 60), 'the port is open' or diag explain mapping();
    is mapping()->{protocol}, 'upnp', '... by UPnP, where nothing better is spoken';
    is opened(), "$port $port", '... at the router';
    $a->must('down', 'lan');
    ok until_true(sub { opened() eq '' }, 60), 'down gives it back';
};

subtest 'a router that speaks none of them' => sub {
    $router->stop($upnpd);
    $upnpd = undef;
    $a->must('up', 'lan');
    ok until_true(sub { (mapping()->{error} // '') =~ /neither PCP, NAT-PMP nor UPnP/ }, 60), 'is said';
    is mapped(), '', '... and no port promised';
    is $a->network_of('Lan')->{state}, 'up', 'the network is up all the same';
};

subtest 'port-mapping = no' => sub {
    router('enable_upnp=no', 'enable_natpmp=yes');
    $a->must('down', 'lan');
    $a->must('up', 'lan');
    ok until_true(sub { opened() ne '' }), 'open';
    $a->host->must('sh', '-c', "echo 'port-mapping = no' > $conf");
    is $a->json('reload')->{changed}, 'port-mapping', 'switched off';
    ok until_true(sub { opened() eq '' }), 'the port is given back';
    is_deeply mapping(), { protocol => undef, endpoint => undef, error => undef }, 'and nobody is asked';
};

$lab->destroy;
done_testing;
