# goconnect netcheck of a host behind a router, asked of our own relay.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../agent/lib", "$FindBin::Bin/../lib";
use AgentTest;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;

my ($lab, $plane, $a) = lab_with_agent();
my $outside = $lab->host('outside');
my $router = $lab->middle;

$router->must('sh', '-c', 'ip address flush dev lan1 scope global; ip address add 192.168.77.1/24 dev lan1; '
    . 'ip address add 2001:db8:1::1/64 dev lan1 nodad');
$a->host->must('sh', '-c', 'ip -4 address flush dev eth0 scope global; ip address add 192.168.77.10/24 dev eth0; '
    . 'ip route replace default via 192.168.77.1');
$outside->must('sh', '-c', 'ip address add 198.51.2.20/24 dev eth0; ip address add 2001:db8:2::20/64 dev eth0 nodad');

my $dir = $lab->dir . '/relay';
mkdir $dir or die "$dir: $!";
open my $fh, '>', "$dir/key" or die $!;
chmod 0600, $fh;
print $fh 'relay 1 ' . encode_base64('k' x 32);
close $fh or die $!;

my $nginx;
sub relay {
    my ($listen) = @_;
    is $outside->stop($nginx, 'QUIT'), 0, 'the relay ends well' if $nginx;
    open my $conf, '>', "$dir/nginx.conf" or die $!;
    print $conf <<"CONF";
load_module $BUILD/nginx/ngx_http_goconnect_module.so;
user root; daemon off; pid $dir/pid; error_log $dir/error.log notice; worker_processes 2;
events { }
http {
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi; access_log off;
    goconnect_relay 7d0f5c2e-0000-4000-8000-00000000b22d key=$dir/key state=$dir/state $listen;
}
CONF
    close $conf or die $!;
    $nginx = $outside->start('nginx', '/usr/sbin/nginx', '-e', "$dir/error.log", '-p', $dir, '-c', "$dir/nginx.conf");
    until_true(sub { length +($outside->run('ss', '-Hlun', 'sport = :3479'))[1] })
        or die 'no relay: ' . $outside->log('nginx') . $outside->must('cat', "$dir/error.log");
}

sub router {
    my ($how) = @_;
    $router->run('nft', 'delete table inet nat');
    $router->must('nft', <<"NFT");
table inet nat {
    chain post { type nat hook postrouting priority 100; meta nfproto ipv4 oifname "lan2" masquerade $how; }
    chain in { type filter hook input priority 0; iifname "lan2" ct state new drop; }
    chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "lan1" accept; }
}
NFT
}

my $json = JSON::PP->new->canonical->allow_nonref;

sub finds {
    my ($host, $family, $mapping, $filtering, $nat, $name) = @_;
    my $found = $a->json('netcheck', $host)->{$family};
    is $json->encode([ map { $found->{$_} } qw(answered mapping filtering nat) ]),
        $json->encode([ JSON::PP::true, $mapping, $filtering, $nat ? JSON::PP::true : JSON::PP::false ]), $name
        or diag $json->encode($found);
}

my ($FREE, $BOTH) = qw(endpoint_independent address_and_port_dependent);

subtest 'a relay of two addresses' => sub {
    relay('listen=198.51.2.10 listen=198.51.2.20 listen=[2001:db8:2::10] listen=[2001:db8:2::20]');
    router('');
    finds('198.51.2.10', 'ipv4', $FREE, $BOTH, 1, 'a router that keeps ports');
    finds('[2001:db8:2::20]', 'ipv6', $FREE, $BOTH, 0, 'a firewall, IPv6');
    router('random,fully-random');
    finds('198.51.2.20', 'ipv4', $BOTH, $BOTH, 1, 'a symmetric router');
};

subtest 'a relay of one address' => sub {
    $outside->must('ip', 'address', 'del', '198.51.2.20/24', 'dev', 'eth0');
    relay('');
    router('');
    finds('198.51.2.10', 'ipv4', 'not_port_dependent', 'port_dependent', 1, 'a router that keeps ports');
    finds('[2001:db8:2::10]', 'ipv6', 'not_port_dependent', 'port_dependent', 0, 'a firewall, IPv6');
};

is $outside->stop($nginx, 'QUIT'), 0, 'the relay ends well';
unlike $outside->must('cat', "$dir/error.log"), qr/\[(?:alert|emerg|crit|error|warn)\]/, 'and had nothing to complain of';
is $a->stop, 0, 'goconnectd ends with 0';
$lab->destroy;
done_testing;
