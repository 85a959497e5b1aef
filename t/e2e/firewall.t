# Who may reach which ports of whom: by role, peer, tag and port, as an admin
# says; nobody gets in by another way, and whoever flushes the rules of a host
# does so in vain.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;
use JSON::PP ();

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 1, address => $GoConnect::Lab::SERVER);
my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', cidr => '10.40.0.0/24' }, @as);
my %invite = map {
    $_ => $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
        { network_id => $network->{id}, max_uses => 10, role => $_ }, @as)
} qw(admin member);

my %d;
for (qw(hub:member ada:admin bob:member)) {
    my ($name, $role) = split /:/;
    my $d = $d{$name} = GoConnect::Device->new($lab, $name);
    $d->register($s->url);
    $d->join($invite{$role}{url});
}
my ($hub, $ada, $bob) = @d{qw(hub ada bob)};
ok defined $hub->sees([qw(ada bob)]), 'hub sees both';
ok defined $_->sees([ 'hub', $_ == $ada ? 'bob' : 'ada' ]), $_->name . ' sees the others' for $ada, $bob;
my $to = $hub->address;
my ($gc) = $hub->interfaces;

# hub answers on two ports of TCP and one of UDP, at every address.
$hub->host->start("tcp$_", 'socat', "TCP6-LISTEN:$_,fork,reuseaddr,ipv6only=0", 'EXEC:cat') for 7001, 7002;
$hub->host->start('udp7001', 'socat', 'UDP6-RECVFROM:7001,fork,ipv6only=0', 'EXEC:cat');

# Whether a word comes back from hub.
sub tcp {
    my ($from, $port, $address) = @_;
    my (undef, $said) = $from->host->run({ input => "hello\n", timeout => 20 }, 'socat', '-t2', '-',
        sprintf('TCP:%s:%d,connect-timeout=2', $address // $to, $port));
    return $said eq "hello\n" ? 1 : 0;
}

sub udp {
    my ($from) = @_;
    my (undef, $said) = $from->host->run({ input => "hello\n", timeout => 20 }, 'socat', '-t2', '-',
        "UDP:$to:7001");
    return $said eq "hello\n" ? 1 : 0;
}

sub pings { ($_[0]->host->run({ timeout => 10 }, qw(ping -n -q -c 2 -i 0.2 -W 1), $_[1]))[0] == 0 }
sub table { ($_[0]->host->run(qw(nft list table inet goconnect)))[1] }

my %id = map { $_->{name} => $_->{id} }
    @{ $s->must(200, GET => "/v1/networks/$network->{id}/peers", undef, @as)->{items} };

# Sets the rules and waits until hub's table shows it: each time another last
# rule, about a port that nobody uses.
my $mark = 20000;
sub rules {
    my (@rules) = @_;
    $mark++;
    $s->must(200, PUT => "/v1/networks/$network->{id}/rules", { rules => [ @rules,
        { action => 'deny', protocol => 'udp', port_first => $mark } ] }, @as);
    my $took = $hub->await(sub { table($hub) =~ /dport $mark\b/ });
    diag sprintf 'rules are enforced after %.2f s', $took if defined $took;
    return defined $took;
}

my $tcp = sub { return { action => $_[0], source => $_[1], protocol => 'tcp', port_first => 7001, @_[2 .. $#_] } };

ok defined $ada->host->reaches($to, 20), 'ada reaches hub';
ok defined $bob->host->reaches($to, 20), 'bob does';
ok tcp($_, 7001) && tcp($_, 7002) && udp($_), $_->name . ': open inside, as on a LAN' for $ada, $bob;
is $hub->network->{firewall}, 'on', 'status says that rules stand';

subtest 'by role and port' => sub {
    ok rules($tcp->(allow => 'role:admin'), $tcp->(deny => 'any')), 'rules arrive';
    ok tcp($ada, 7001), 'the admin may';
    ok !tcp($bob, 7001), 'a member may not';
    ok tcp($bob, 7002) && udp($bob), 'but all else';
    my $six = $hub->network->{ip6_address};
    ok tcp($ada, 7001, "[$six]"), 'IPv6: the admin may';
    ok !tcp($bob, 7001, "[$six]"), 'IPv6: a member may not';
};

subtest 'by peer, to a peer' => sub {
    ok rules($tcp->(deny => "peer:$id{ada}", destination => "peer:$id{hub}"),
        $tcp->(deny => 'any', destination => "peer:$id{bob}")), 'rules arrive';
    ok !tcp($ada, 7001), 'ada may not reach hub';
    ok tcp($bob, 7001), 'bob may';
};

subtest 'by tag, of the source and of the destination' => sub {
    $s->must(200, PATCH => "/v1/peers/$id{bob}", { tags => ['friend'] }, @as);
    ok rules($tcp->(allow => 'tag:friend', destination => 'tag:server'),
        $tcp->(deny => 'any', destination => 'tag:server')), 'rules arrive';
    ok tcp($ada, 7001), 'hub is no server yet: ada may';
    $s->must(200, PATCH => "/v1/peers/$id{hub}", { tags => ['server'] }, @as);
    ok defined $hub->await(sub { table($hub) =~ /dport 7001 drop/ }), 'a tag takes effect by itself';
    ok !tcp($ada, 7001), 'it is one: ada may not';
    ok tcp($bob, 7001), 'a friend may';
};

subtest 'all is denied' => sub {
    ok rules({ action => 'deny', destination => "peer:$id{hub}" }), 'rules arrive';
    ok !pings($ada, $to), 'ada does not reach hub';
    ok !udp($bob) && !tcp($bob, 7002), 'nor does bob';
    ok pings($hub, $ada->address), 'hub reaches ada, and is answered';
};

subtest 'a connection that stands ends with the rule' => sub {
    ok rules(), 'no rules';
    my $file = $bob->host->home . '/said';
    my $fifo = $bob->host->home . '/say';
    $bob->host->must('mkfifo', $fifo);
    $bob->host->start('session', 'sh', '-c', "exec 3<>$fifo; exec socat - TCP:$to:7001 <&3 >$file");
    my $say = sub { $bob->host->must('sh', '-c', "echo $_[0] > $fifo") };
    my $heard = sub { open my $fh, '<', $file or return ''; local $/; scalar(<$fh>) // '' };
    $say->('one');
    ok defined $bob->await(sub { $heard->() =~ /one/ }), 'it stands';
    ok rules($tcp->(deny => 'any')), 'denied';
    $say->('two');
    ok !tcp($bob, 7001), 'a new one is refused';
    unlike $heard->(), qr/two/, 'the old one is silent too';
    ok rules(), 'allowed again';
    ok defined $bob->await(sub { $heard->() =~ /two/ }, 60), 'and goes on';
};

subtest 'nobody comes in by another way' => sub {
    my $eve = $lab->host('eve', with => 'hub');
    $eve->must(qw(ip address add 10.40.0.250/32 dev lo));
    $hub->host->must('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; '
        . 'echo 0 > /proc/sys/net/ipv4/conf/eth0/rp_filter');
    $hub->host->start('spoofed', 'sh', '-c', 'exec socat -u UDP4-RECV:7003 CREATE:' . $hub->host->home . '/spoofed');
    my $port = sub { $hub->host->must('sh', '-c', 'cat /proc/net/udp') =~ /:1B5B / };
    ok defined $hub->await($port), 'hub listens';
    my $send = sub { $eve->must({ input => "$_[0]\n" }, 'socat', '-u', '-',
        'UDP:' . $hub->host->address . ':7003' . ($_[1] ? ",bind=$_[1]" : '')) };
    my $heard = sub { open my $fh, '<', $hub->host->home . '/spoofed' or return ''; local $/; scalar(<$fh>) // '' };
    $send->('forged', '10.40.0.250');
    $send->('honest');
    ok defined $hub->await(sub { $heard->() =~ /honest/ }), 'a neighbour is heard';
    unlike $heard->(), qr/forged/, 'not with an address of the network';
    $hub->kill_daemon;
    $hub->host->must(qw(nft delete table inet goconnect));
    $send->('naked', '10.40.0.250');
    ok defined $hub->await(sub { $heard->() =~ /naked/ }), 'were it not for the rules, he would be';
    $hub->start_daemon;
    ok defined $hub->await(sub { table($hub) =~ /dport $mark\b/ }), 'they are back with the agent';

    # by the network hub is reached at its address there alone
    $ada->host->must('ip', 'route', 'add', $hub->host->address . '/32', 'dev', ($ada->interfaces)[0]);
    ok !pings($ada, $hub->host->address), 'and nobody reaches hub\'s other addresses by the network';
    $ada->host->must('ip', 'route', 'del', $hub->host->address . '/32', 'dev', ($ada->interfaces)[0]);
    ok pings($ada, $to), 'only that';
};

subtest 'by the command' => sub {
    my $ask = sub { $ada->cli({ input => $_[0] }, 'rules', 'set', 'lan', '-', '--insecure') };
    my ($status, $said) = $ask->('[{"action": "deny", "source": "role:member", "protocol": "tcp", "port_first": 7001},'
        . ' {"action": "deny", "protocol": "udp", "port_first": ' . ++$mark . '}]');
    is $status, 0, 'an admin sets them' or diag $said;
    like $said, qr/^Lan has 2 rules now\.$/, 'and is told';
    ok defined $hub->await(sub { table($hub) =~ /dport $mark\b/ }), 'they arrive';
    ok !tcp($bob, 7001), 'and are enforced';
    my $list = $bob->json('rules', 'lan', '--insecure')->{rules};
    is_deeply [ map { "$_->{source} $_->{port_first}" } @$list ], [ 'role:member 7001', "any $mark" ], 'a member sees them';
    like +($bob->cli('rules', 'lan', '--insecure'))[1], qr/^deny +role:member +any +tcp +7001$/m, 'as a table too';
    ($status, $said) = $ada->cli({ input => JSON::PP::encode_json({ rules => $list }) }, 'rules', 'set', 'lan', '-', '--insecure');
    is $status, 0, 'what is listed can be set' or diag $said;
    is +($bob->cli({ input => '[]' }, 'rules', 'set', 'lan', '-', '--insecure'))[0], 5, 'a member sets none';
    ($status, $said) = $ask->('{"rules": 1}');
    like $said, qr/not a list of rules/, 'what is no list is refused';
    ($status, $said) = $ask->("[\n{]");
    like $said, qr/-, line 2:/, 'and what is no JSON, by its line';
};

subtest 'rules of the host' => sub {
    $hub->host->must(qw(nft add table inet filter));
    $hub->host->must(qw(nft flush ruleset));
    ok defined $hub->await(sub { table($hub) =~ /dport $mark\b/ }), 'flushed, ours are laid again';
    $hub->host->must(qw(nft add table inet filter));
    $hub->host->must(qw(nft add chain inet filter input), '{ type filter hook input priority 0; }');
    $hub->host->must(qw(nft flush chain inet goconnect input));
    ok defined $hub->await(sub { table($hub) =~ /iifname.*jump input_0/ }), 'a chain of ours too';
    $hub->cli('down');
    isnt +($hub->host->run(qw(nft list table inet goconnect)))[0], 0, 'down removes the table';
    is $hub->host->must(qw(nft list tables)), "table inet filter\n", 'and nothing else';
    $hub->cli('up');
    ok defined $hub->await(sub { $hub->network->{firewall} eq 'on' }), 'up brings it back';
    $hub->kill_daemon;
    like table($hub), qr/dport $mark\b/, 'it survives the agent';
    $hub->start_daemon;
    $hub->leave('lan');
    ok defined $hub->await(sub { ($hub->host->run(qw(nft list table inet goconnect)))[0] != 0 }),
        'it goes with the network';
};

$_->stop_daemon for values %d;
$s->stop;
done_testing;
