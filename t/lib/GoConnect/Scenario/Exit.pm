package GoConnect::Scenario::Exit;

# The internet by way of a member: what is outside sees his address, of both
# families; the control connection, the own LAN and answers go beside it; while
# he is gone nothing leaves; off, down and leave take all of it back, also after
# a kill.

use strict;
use warnings;
use Test::More;

# Ada, who comes as an admin, and home. Somebody far away and somebody on ada's
# LAN say who they are asked by.
sub begin {
    my ($w, $ada, $home) = @_;
    my $network = $w->network('lan', cidr => '10.40.0.0/24');
    my $self = bless { w => $w, ada => $ada, home => $home, network => $network }, __PACKAGE__;
    $w->join_by($_, $w->invite($network, role => 'admin'), $network->{name}) for $ada, $home;
    ok defined $ada->sees([ $home->name ], 60), 'ada sees home';
    @$self{qw(out near)} = ($w->lab->host('out'), $w->neighbour($ada));
    for my $host (@$self{qw(out near)}) {
        $host->start('asked4', 'socat', 'TCP4-LISTEN:7011,fork,reuseaddr', 'SYSTEM:echo $SOCAT_PEERADDR');
        $host->start('asked6', 'socat', 'TCP6-LISTEN:7012,fork,reuseaddr,ipv6only=1', 'SYSTEM:echo $SOCAT_PEERADDR');
    }
    $ada->host->must('sh', '-c', 'for i in all eth0; do echo 1 > /proc/sys/net/ipv4/conf/$i/rp_filter; done');
    $home->host->must('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding');
    ok $self->comes($ada->host, $self->{out}), 'before, ada goes by herself';
    is $self->left, '', 'and nothing of an exit is there';
    return $self;
}

sub play {
    my ($w, @device) = @_;
    my $self = begin($w, @device);
    subtest 'offered, approved, used' => sub { $self->used };
    subtest 'beside it' => sub { $self->beside };
    subtest 'closed while it is gone' => sub { $self->closed };
    subtest 'taken back' => sub { $self->taken_back };
    return $self;
}

# A host's address of IPv6, in full as socat writes it.
sub six {
    my ($host) = @_;
    my ($lan, $number) = $host->address =~ /^198\.51\.(\d+)\.(\d+)$/;
    return "2001:db8:$lan:0:0:0:0:$number";
}

# By which address a host is asked, '' if nothing comes back.
sub asked {
    my ($self, $host, $family) = @_;
    my $to = $family == 4 ? 'TCP4:' . $host->address . ':7011' : 'TCP6:[' . six($host) . ']:7012';
    my (undef, $said) = $self->{ada}->host->run({ timeout => 20 }, 'socat', '-t5', '-u', "$to,connect-timeout=2", '-');
    return '' if $said !~ /^\[?([0-9a-f:.]+)\]?\n\z/;
    (my $ip = $1) =~ s/(?:(?<=:)|^)0+(?=[0-9a-f])//g;
    return $ip;
}

sub comes {
    my ($self, $whose, $host) = @_;
    return defined $self->{ada}->await(sub {
        $self->asked($host, 4) eq $whose->address && $self->asked($host, 6) eq six($whose) }, 90);
}

# What an exit has on ada's host.
sub left {
    my ($self) = @_;
    return join '', map { $self->{ada}->host->must('sh', '-c', $_) }
        'ip rule show | grep "proto 201"; ip -6 rule show | grep "proto 201"; :',
        'ip route show table 26467 2>/dev/null; ip -6 route show table 26467 2>/dev/null; :',
        'nft list tables | grep goconnect_exit; :',
        'grep 1 /proc/sys/net/ipv4/conf/eth0/src_valid_mark; :',
        'wg show all fwmark | grep -v off; :';
}

sub state_is {
    my ($self, $state, $seconds) = @_;
    return defined $self->{ada}->await(sub {
        ($self->{ada}->json('status')->{exit}{state} // '') eq $state }, $seconds // 60);
}

sub used {
    my ($self) = @_;
    my ($ada, $home, $name) = (@$self{qw(ada home)}, $self->{home}->name);
    isnt +($ada->cli('exit', 'use', 'lan', $name))[0], 0, 'who does not offer himself is not used';
    my $offer = $home->json('exit', 'offer', 'lan');
    ok $offer->{offered} && !$offer->{approved} && $offer->{forwarded}, 'offered';
    isnt +($ada->cli('exit', 'use', 'lan', $name))[0], 0, 'nor who is not approved';
    my ($status, $said) = $ada->cli('exit', 'approve', 'lan', $name, '--insecure');
    is $status, 0, 'approved' or diag $said;
    ok defined $ada->await(sub { @{ $ada->json('exit')->{exits} } }, 60), 'it arrives';
    is $ada->json('exit')->{exit}, undef, 'nothing is used unasked';
    ok defined $home->await(sub { ($home->host->run(qw(nft list table inet goconnect)))[1] =~ /masquerade/ }, 60),
        'home forwards';
    ($status, $said) = $ada->cli('exit', 'use', 'lan', $name);
    is $said, "The internet is reached by $name of Lan.\n", 'used';
    ok $self->comes($home->host, $self->{out}), 'outside, ada has home\'s addresses';
    ok $self->comes($ada->host, $self->{near}), 'on her LAN her own';
    ok $self->state_is('on'), 'status says so';
    like $ada->host->must(qw(wg show all fwmark)), qr/\t0x6763$/m, 'WireGuard\'s own packets are marked';
    return;
}

sub beside {
    my ($self) = @_;
    my ($w, $ada, $home, $out) = @$self{qw(w ada home out)};
    my $lines = sub { scalar(() = $ada->log =~ /trying again/g) };
    my ($version, $before) = ($ada->network->{version}, $lines->());
    my $peer = $w->peers($self->{network})->{ $home->name };
    $w->must(200, PATCH => "/v1/peers/$peer->{id}", { tags => ['exit'] });
    ok defined $ada->await(sub { $ada->network->{version} > $version }, 60), 'the server is heard';
    is $lines->(), $before, 'by the connection that was there' if !$GoConnect::Scenario::IN_VM;
    $ada->host->start('served', 'socat', 'TCP4-LISTEN:7013,fork,reuseaddr', 'EXEC:echo here');
    ok defined $ada->await(sub {
        ($out->run({ timeout => 20 }, 'socat', '-t5', '-u', 'TCP4:' . $ada->host->address . ':7013,connect-timeout=3', '-'))[1] eq "here\n"
    }, 60), 'who reaches ada from outside is answered';
    ok defined $ada->host->reaches($home->address, 60), 'and members are where they were';
    return;
}

sub closed {
    my ($self) = @_;
    my ($w, $ada, $home, $out, $near) = @$self{qw(w ada home out near)};
    $out->must({ input => "table inet seen {\n chain in {\n  type filter hook input priority 0;\n"
        . '  tcp dport { 7011, 7012 } ip saddr ' . $ada->host->address . " counter\n"
        . '  tcp dport { 7011, 7012 } ip6 saddr ' . six($ada->host) . " counter\n }\n}\n" }, 'nft', '-f', '/dev/stdin');
    $home->host->cable($w->lab, 'down');
    is $self->asked($out, $_), '', "IPv$_ does not get out" for 4, 6;
    ok $self->comes($ada->host, $near), 'the LAN is there';
    ok defined $ada->await(sub { $self->asked($out, 4); $self->state_is('blocked', 0.1) }, 300),
        'status says that it is blocked';
    like +($ada->cli('exit'))[1], qr/\Q@{[ $home->name ]}\E of Lan does not answer: nothing leaves/, 'so does the command';
    $ada->kill_daemon;
    is $self->asked($out, $_), '', "nor when goconnectd was killed: IPv$_" for 4, 6;
    $ada->start_daemon;
    is $self->asked($out, $_), '', "and is there again: IPv$_" for 4, 6;
    my @count = $out->must(qw(nft list table inet seen)) =~ /counter packets (\d+)/g;
    is "@count", '0 0', 'outside nobody has seen ada';
    $home->host->cable($w->lab, 'up');
    ok $self->comes($home->host, $out), 'home is back';
    return;
}

sub taken_back {
    my ($self) = @_;
    my ($ada, $home, $out) = @$self{qw(ada home out)};
    $ada->kill_daemon;
    ok $self->comes($home->host, $out), 'it works without goconnectd';
    $ada->start_daemon;
    $ada->cli('exit', 'off');
    is $self->left, '', 'off leaves nothing';
    ok $self->comes($ada->host, $out), 'and ada goes by herself';
    $ada->json('exit', 'use', 'lan', $home->name);
    ok $self->comes($home->host, $out), 'used again';
    $ada->host->must(qw(ip rule del priority 26462));
    ok defined $ada->await(sub { $ada->host->must(qw(ip rule show)) =~ /26462:.*26467/ }, 60), 'a rule that was taken is laid again';
    $ada->kill_daemon;
    $ada->start_daemon;
    $ada->cli('down');
    is $self->left, '', 'down leaves nothing';
    ok $self->comes($ada->host, $out), 'ada goes by herself';
    $ada->cli('up');
    ok $self->comes($home->host, $out), 'up brings it back';
    $home->json('exit', 'withdraw', 'lan');
    ok $self->state_is('blocked'), 'withdrawn: blocked';
    is $self->asked($out, 4), '', 'not by another way';
    $ada->leave('lan');
    is $self->left, '', 'leaving the network leaves nothing';
    ok $self->comes($ada->host, $out), 'and ada goes by herself';
    return;
}

1;
