# The internet by way of a member: what is outside sees his address, of both
# families; the control connection, the own LAN and answers go beside it; while
# he is gone nothing leaves; off, down and leave take all of it back, also after
# a kill.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 1, address => $GoConnect::Lab::SERVER);
my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', cidr => '10.40.0.0/24' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10, role => 'admin' }, @as);

my %d;
for my $name (qw(ada home)) {
    my $d = $d{$name} = GoConnect::Device->new($lab, $name);
    $d->register($s->url);
    $d->join($invite->{url});
}
my ($ada, $home) = @d{qw(ada home)};
ok defined $ada->sees(['home']), 'ada sees home';

# Somebody far away and somebody on ada's LAN say who they are asked by.
my $out = $lab->host('out');
my $near = $lab->host('near', with => 'ada');
my %at;
for my $host ($out, $near) {
    $host->start('asked4', 'socat', 'TCP4-LISTEN:7001,fork,reuseaddr', 'SYSTEM:echo $SOCAT_PEERADDR');
    $host->start('asked6', 'socat', 'TCP6-LISTEN:7002,fork,reuseaddr,ipv6only=1', 'SYSTEM:echo $SOCAT_PEERADDR');
}
sub six { my ($host) = @_; (my $ip = $host->address) =~ s/^198\.51\.(\d+)\.(\d+)$/2001:db8:$1\::$2/; return $ip }

# By which address a host is asked, '' if nothing comes back. socat writes
# addresses of IPv6 in full.
sub asked {
    my ($host, $family) = @_;
    my $to = $family == 4 ? 'TCP4:' . $host->address . ':7001' : 'TCP6:[' . six($host) . ']:7002';
    my (undef, $said) = $ada->host->run({ timeout => 20 }, 'socat', '-t5', '-u', "$to,connect-timeout=2", '-');
    return '' if $said !~ /^\[?([0-9a-f:.]+)\]?\n\z/;
    (my $ip = $1) =~ s/(?:(?<=:)|^)0+(?=[0-9a-f])//g;
    return $ip;
}

sub full { my ($ip) = @_; my ($head, $tail) = split /::/, $ip; my @h = split /:/, $head; my @t = split /:/, $tail;
    return join ':', @h, (0) x (8 - @h - @t), @t }

sub comes {
    my ($whose, $host) = @_;
    my ($four, $six) = ($whose->address, full(six($whose)));
    return defined $ada->await(sub { asked($host, 4) eq $four && asked($host, 6) eq $six }, 90);
}

$ada->host->must('sh', '-c', 'for i in all eth0; do echo 1 > /proc/sys/net/ipv4/conf/$i/rp_filter; done');
$home->host->must('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding');
ok comes($ada->host, $out), 'before, ada goes by herself';

sub left {
    return join '', map { $ada->host->must('sh', '-c', $_) }
        'ip rule show | grep "proto 201"; ip -6 rule show | grep "proto 201"; :',
        'ip route show table 26467 2>/dev/null; ip -6 route show table 26467 2>/dev/null; :',
        'nft list tables | grep goconnect_exit; :',
        'grep 1 /proc/sys/net/ipv4/conf/eth0/src_valid_mark; :',
        'wg show all fwmark | grep -v off; :';
}
is left(), '', 'and nothing of an exit is there';

subtest 'offered, approved, used' => sub {
    isnt +($ada->cli('exit', 'use', 'lan', 'home'))[0], 0, 'who does not offer himself is not used';
    my $offer = $home->json('exit', 'offer', 'lan');
    ok $offer->{offered} && !$offer->{approved} && $offer->{forwarded}, 'offered';
    isnt +($ada->cli('exit', 'use', 'lan', 'home'))[0], 0, 'nor who is not approved';
    my ($status, $said) = $ada->cli('exit', 'approve', 'lan', 'home', '--insecure');
    is $status, 0, 'approved' or diag $said;
    ok defined $ada->await(sub { @{ $ada->json('exit')->{exits} } }), 'it arrives';
    is $ada->json('exit')->{exit}, undef, 'nothing is used unasked';
    ok defined $home->await(sub { ($home->host->run(qw(nft list table inet goconnect)))[1] =~ /masquerade/ }),
        'home forwards';
    ($status, $said) = $ada->cli('exit', 'use', 'lan', 'home');
    is $said, "The internet is reached by home of Lan.\n", 'used';
    ok comes($home->host, $out), 'outside, ada has home\'s addresses';
    ok comes($ada->host, $near), 'on her LAN her own';
    is $ada->json('status')->{exit}{state}, 'on', 'status says so';
};

subtest 'beside it' => sub {
    my $version = $ada->network->{version};
    my ($peer) = grep { $_->{name} eq 'home' }
        @{ $s->must(200, GET => "/v1/networks/$network->{id}/peers", undef, @as)->{items} };
    $s->must(200, PATCH => "/v1/peers/$peer->{id}", { tags => ['exit'] }, @as);
    ok defined $ada->await(sub { $ada->network->{version} > $version }), 'the server is heard';
    unlike $ada->log, qr/trying again/, 'by the connection that was there';
    $ada->host->start('served', 'socat', 'TCP4-LISTEN:7003,fork,reuseaddr', 'EXEC:echo here');
    ok defined $ada->await(sub {
        ($out->run({ timeout => 20 }, 'socat', '-t5', '-u', 'TCP4:' . $ada->host->address . ':7003,connect-timeout=3', '-'))[1] eq "here\n"
    }, 60), 'who reaches ada from outside is answered';
    ok defined $ada->host->reaches($home->address, 60), 'and members are where they were';
};

subtest 'closed while it is gone' => sub {
    $out->must({ input => "table inet seen {\n chain in {\n  type filter hook input priority 0;\n"
        . '  tcp dport { 7001, 7002 } ip saddr ' . $ada->host->address . " counter\n"
        . '  tcp dport { 7001, 7002 } ip6 saddr ' . six($ada->host) . " counter\n }\n}\n" }, 'nft', '-f', '/dev/stdin');
    $home->host->cable($lab, 'down');
    is asked($out, $_), '', "IPv$_ does not get out" for 4, 6;
    ok comes($ada->host, $near), 'the LAN is there';
    ok defined $ada->await(sub { asked($out, 4); ($ada->json('status')->{exit}{state} // '') eq 'blocked' }, 300),
        'status says that it is blocked';
    like +($ada->cli('exit'))[1], qr/home of Lan does not answer: nothing leaves/, 'so does the command';
    $ada->kill_daemon;
    is asked($out, $_), '', "nor when goconnectd was killed: IPv$_" for 4, 6;
    $ada->start_daemon;
    is asked($out, $_), '', "and is there again: IPv$_" for 4, 6;
    my @count = $out->must(qw(nft list table inet seen)) =~ /counter packets (\d+)/g;
    is "@count", '0 0', 'outside nobody has seen ada';
    $home->host->cable($lab, 'up');
    ok comes($home->host, $out), 'home is back';
};

subtest 'taken back' => sub {
    $ada->kill_daemon;
    ok comes($home->host, $out), 'it works without goconnectd';
    $ada->start_daemon;
    $ada->cli('exit', 'off');
    is left(), '', 'off leaves nothing';
    ok comes($ada->host, $out), 'and ada goes by herself';
    $ada->json('exit', 'use', 'lan', 'home');
    ok comes($home->host, $out), 'used again';
    $ada->host->must(qw(ip rule del priority 26462));
    ok defined $ada->await(sub { $ada->host->must(qw(ip rule show)) =~ /26462:.*26467/ }), 'a rule that was taken is laid again';
    $ada->kill_daemon;
    $ada->start_daemon;
    $ada->cli('down');
    is left(), '', 'down leaves nothing';
    ok comes($ada->host, $out), 'ada goes by herself';
    $ada->cli('up');
    ok comes($home->host, $out), 'up brings it back';
    $home->json('exit', 'withdraw', 'lan');
    ok defined $ada->await(sub { ($ada->json('status')->{exit}{state} // '') eq 'blocked' }), 'withdrawn: blocked';
    is asked($out, 4), '', 'not by another way';
    $ada->leave('lan');
    is left(), '', 'leaving the network leaves nothing';
    ok comes($ada->host, $out), 'and ada goes by herself';
};

$_->stop_daemon for values %d;
$s->stop;
done_testing;
