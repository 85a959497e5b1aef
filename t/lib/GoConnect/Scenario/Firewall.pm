package GoConnect::Scenario::Firewall;

# Who may reach which ports of whom: by role, peer, tag and port, as an admin
# says; nobody gets in by another way, and whoever flushes the rules of a host
# does so in vain.

use strict;
use warnings;
use Test::More;

# What all subtests know: the world, the devices, hub's address.
sub play {
    my ($w, $hub, $ada, $bob) = @_;
    my $self = begin($w, $hub, $ada, $bob);
    subtest 'by role and port' => sub { $self->by_role };
    subtest 'by peer, to a peer' => sub { $self->by_peer };
    subtest 'by tag, of the source and of the destination' => sub { $self->by_tag };
    subtest 'all is denied' => sub { $self->all_denied };
    subtest 'a connection that stands ends with the rule' => sub { $self->standing };
    subtest 'nobody comes in by another way' => sub { $self->other_ways };
    return $self;
}

sub begin {
    my ($w, $hub, $ada, $bob) = @_;
    my $network = $w->network('lan', cidr => '10.40.0.0/24');
    my $self = bless { w => $w, hub => $hub, ada => $ada, bob => $bob, network => $network,
        mark => 20000 }, __PACKAGE__;
    $w->join_by($ada, $w->invite($network, role => 'admin'), $network->{name});
    $w->join_by($_, $w->invite($network), $network->{name}) for $hub, $bob;
    $w->meet($network, $hub, $ada, $bob);
    $self->{to} = $hub->address;
    $self->{id} = { map { $_->{name} => $_->{id} } values %{ $w->peers($network) } };

    # hub answers on two ports of TCP and one of UDP, at every address
    my $host = $hub->host;
    $host->start("tcp$_", 'socat', "TCP6-LISTEN:$_,fork,reuseaddr,ipv6only=0", 'EXEC:cat') for 7001, 7002;
    $host->start('udp7001', 'socat', 'UDP6-RECVFROM:7001,fork,ipv6only=0', 'EXEC:cat');
    for ([ $ada, 'ada' ], [ $bob, 'bob' ]) {
        my ($d, $name) = @$_;
        ok $self->may($d, 'TCP', 7001) && $self->may($d, 'TCP', 7002) && $self->may($d, 'UDP', 7001),
            "$name: open inside, as on a LAN";
    }
    is $hub->network->{firewall}, 'on', 'status says that rules stand';
    return $self;
}

# Whether a word comes back from hub, asked once.
sub asked {
    my ($self, $from, $protocol, $port, $address) = @_;
    my $to = sprintf '%s:%s:%d', $protocol, $address // $self->{to}, $port;
    my (undef, $said) = $from->host->run({ input => "hello\n", timeout => 20 }, 'socat', '-t2', '-',
        "$to,readbytes=6" . ($protocol eq 'TCP' ? ',connect-timeout=2' : ''));
    return $said eq "hello\n";
}

sub may {
    my ($self, @ask) = @_;
    return defined $ask[0]->await(sub { $self->asked(@ask) }, 60);
}

sub may_not { my ($self, @ask) = @_; return !$self->asked(@ask) }

sub pings { ($_[0]->host->run({ timeout => 10 }, qw(ping -n -q -c 2 -i 0.2 -W 1), $_[1]))[0] == 0 }
sub table { ($_[0]->host->run(qw(nft list table inet goconnect)))[1] }

# Whether hub's table shows the rules that were set last: each time another
# last one, about a port that nobody uses.
sub enforced {
    my ($self) = @_;
    return defined $self->{hub}->await(sub { table($self->{hub}) =~ /dport $self->{mark}\b/ }, 60);
}

sub last_rule { my ($self) = @_; return { action => 'deny', protocol => 'udp', port_first => ++$self->{mark} } }

sub rules {
    my ($self, @rules) = @_;
    $self->{w}->must(200, PUT => "/v1/networks/$self->{network}{id}/rules",
        { rules => [ @rules, $self->last_rule ] });
    return $self->enforced;
}

sub tcp {
    my ($action, $source, @more) = @_;
    return { action => $action, source => $source, protocol => 'tcp', port_first => 7001, @more };
}

sub by_role {
    my ($self) = @_;
    my ($hub, $ada, $bob) = @$self{qw(hub ada bob)};
    ok $self->rules(tcp(allow => 'role:admin'), tcp(deny => 'any')), 'rules arrive';
    ok $self->may($ada, 'TCP', 7001), 'the admin may';
    ok $self->may_not($bob, 'TCP', 7001), 'a member may not';
    ok $self->may($bob, 'TCP', 7002) && $self->may($bob, 'UDP', 7001), 'but all else';
    my $six = $hub->network->{ip6_address};
    ok $self->may($ada, 'TCP', 7001, "[$six]"), 'IPv6: the admin may';
    ok $self->may_not($bob, 'TCP', 7001, "[$six]"), 'IPv6: a member may not';
    return;
}

sub by_peer {
    my ($self) = @_;
    my ($id, $hub, $ada, $bob) = @$self{qw(id hub ada bob)};
    ok $self->rules(tcp(deny => 'peer:' . $id->{ $ada->name }, destination => 'peer:' . $id->{ $hub->name }),
        tcp(deny => 'any', destination => 'peer:' . $id->{ $bob->name })), 'rules arrive';
    ok $self->may_not($ada, 'TCP', 7001), 'ada may not reach hub';
    ok $self->may($bob, 'TCP', 7001), 'bob may';
    return;
}

sub by_tag {
    my ($self) = @_;
    my ($w, $id, $hub, $ada, $bob) = @$self{qw(w id hub ada bob)};
    $w->must(200, PATCH => '/v1/peers/' . $id->{ $bob->name }, { tags => ['friend'] });
    ok $self->rules(tcp(allow => 'tag:friend', destination => 'tag:server'),
        tcp(deny => 'any', destination => 'tag:server')), 'rules arrive';
    ok $self->may($ada, 'TCP', 7001), 'hub is no server yet: ada may';
    $w->must(200, PATCH => '/v1/peers/' . $id->{ $hub->name }, { tags => ['server'] });
    ok defined $hub->await(sub { table($hub) =~ /dport 7001 drop/ }, 60), 'a tag takes effect by itself';
    ok $self->may_not($ada, 'TCP', 7001), 'it is one: ada may not';
    ok $self->may($bob, 'TCP', 7001), 'a friend may';
    return;
}

sub all_denied {
    my ($self) = @_;
    my ($hub, $ada, $bob) = @$self{qw(hub ada bob)};
    ok $self->rules({ action => 'deny', destination => 'peer:' . $self->{id}{ $hub->name } }), 'rules arrive';
    ok !pings($ada, $self->{to}), 'ada does not reach hub';
    ok $self->may_not($bob, 'UDP', 7001) && $self->may_not($bob, 'TCP', 7002), 'nor does bob';
    ok defined $hub->host->reaches($ada->address, 60), 'hub reaches ada, and is answered';
    return;
}

sub standing {
    my ($self) = @_;
    my $bob = $self->{bob};
    ok $self->rules, 'no rules';
    my $file = $bob->host->home . '/said';
    my $fifo = $bob->host->home . '/say';
    $bob->host->must('mkfifo', $fifo);
    $bob->host->start('session', 'sh', '-c', "exec 3<>$fifo; exec socat - TCP:$self->{to}:7001 <&3 >$file");
    my $say = sub { $bob->host->must('sh', '-c', "echo $_[0] > $fifo") };
    $say->('one');
    ok defined $bob->await(sub { heard($file) =~ /one/ }, 60), 'it stands';
    ok $self->rules(tcp(deny => 'any')), 'denied';
    $say->('two');
    ok $self->may_not($bob, 'TCP', 7001), 'a new one is refused';
    unlike heard($file), qr/two/, 'the old one is silent too';
    ok $self->rules, 'allowed again';
    ok defined $bob->await(sub { heard($file) =~ /two/ }, 120), 'and goes on';
    return;
}

sub heard {
    my ($file) = @_;
    open my $fh, '<', $file or return '';
    local $/;
    return scalar(<$fh>) // '';
}

sub other_ways {
    my ($self) = @_;
    my ($w, $hub, $ada) = @$self{qw(w hub ada)};
    my $eve = $w->neighbour($hub);
    my $file = $hub->host->home . '/spoofed';
    $eve->must(qw(ip address add 10.40.0.250/32 dev lo));
    $hub->host->must('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; '
        . 'echo 0 > /proc/sys/net/ipv4/conf/eth0/rp_filter');
    $hub->host->start('spoofed', 'sh', '-c', "exec socat -u UDP4-RECV:7003 CREATE:$file");
    ok defined $hub->await(sub { $hub->host->must('cat', '/proc/net/udp') =~ /:1B5B / }, 60), 'hub listens';
    my $send = sub { $eve->must({ input => "$_[0]\n" }, 'socat', '-u', '-',
        'UDP:' . $hub->host->address . ':7003' . ($_[1] ? ",bind=$_[1]" : '')) };
    $send->('forged', '10.40.0.250');
    $send->('honest');
    ok defined $hub->await(sub { heard($file) =~ /honest/ }, 60), 'a neighbour is heard';
    unlike heard($file), qr/forged/, 'not with an address of the network';
    $hub->kill_daemon;
    $hub->host->must(qw(nft delete table inet goconnect));
    $send->('naked', '10.40.0.250');
    ok defined $hub->await(sub { heard($file) =~ /naked/ }, 60), 'were it not for the rules, he would be';
    $hub->start_daemon;
    ok $self->enforced, 'they are back with the agent';

    # by the network hub is reached at its address there alone
    my @route = ($hub->host->address . '/32', 'dev', ($ada->interfaces)[0]);
    $ada->host->must('ip', 'route', 'add', @route);
    ok !pings($ada, $hub->host->address), 'and nobody reaches hub\'s other addresses by the network';
    $ada->host->must('ip', 'route', 'del', @route);
    ok defined $ada->host->reaches($self->{to}, 60), 'only that';
    return;
}

# What others do to the rules of hub's host; hub leaves the network.
sub by_hand {
    my ($self) = @_;
    my ($hub, $mark) = @$self{qw(hub mark)};
    my $host = $hub->host;
    $host->must(qw(nft add table inet filter));
    $host->must(qw(nft flush ruleset));
    ok $self->enforced, 'flushed, ours are laid again';
    $host->must(qw(nft add table inet filter));
    $host->must(qw(nft add chain inet filter input), '{ type filter hook input priority 0; }');
    $host->must(qw(nft flush chain inet goconnect input));
    ok defined $hub->await(sub { table($hub) =~ /iifname.*jump input_0/ }, 60), 'a chain of ours too';
    $hub->cli('down');
    isnt +($host->run(qw(nft list table inet goconnect)))[0], 0, 'down removes the table';
    is $host->must(qw(nft list tables)), "table inet filter\n", 'and nothing else';
    $hub->cli('up');
    ok defined $hub->await(sub { $hub->network->{firewall} eq 'on' }, 60), 'up brings it back';
    $hub->kill_daemon;
    like table($hub), qr/dport $mark\b/, 'it survives the agent';
    $hub->start_daemon;
    $hub->leave($self->{network}{name});
    ok defined $hub->await(sub { ($host->run(qw(nft list table inet goconnect)))[0] != 0 }, 60),
        'it goes with the network';
    $host->must(qw(nft delete table inet filter));
    return;
}

1;
