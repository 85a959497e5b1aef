# A host without the agent, with nothing but WireGuard's own tools and the file
# that the server made for it, reaches every member by the network's gateway.

use strict;
use warnings;
use IO::Handle;
use POSIX qw(mkfifo);
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;
use Time::HiRes qw(sleep time);

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 2, address => $GoConnect::Lab::SERVER);

my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', join_policy => 'invite', cidr => '10.40.0.0/24' }, @as);
my %invite = map {
    $_ => $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
        { network_id => $network->{id}, max_uses => 10, role => $_ }, @as)
} qw(admin member);

my %d = map { $_ => GoConnect::Device->new($lab, $_) } qw(gate bob);
$d{gate}->register($s->url);
$d{gate}->join($invite{admin}{url});
$d{bob}->register($s->url);
$d{bob}->join($invite{member}{url});
my ($gate, $bob) = @d{qw(gate bob)};
$_->sees([ $_ == $gate ? 'bob' : 'gate' ]) for $gate, $bob;

# ------------------------------------------------------------------- the phone

my $phone = $s->must(201, POST => '/v1/devices',
    { name => 'Phone', platform => 'android', agent => \0 }, @as)->{device};
my $peer = $s->must(201, POST => "/v1/networks/$network->{id}/peers",
    { device_id => $phone->{id} }, @as);
my ($ip, $ip6) = @$peer{qw(ip_address ip6_address)};
my $host = $lab->host('phone');

# What GET config answers: (status, text).
sub config {
    my $tx = $s->ua->get($s->url . "/v1/peers/$peer->{id}/config" =>
        { Authorization => "Bearer $owner->{token}" });
    return ($tx->res->code, $tx->res->body);
}

# The key whose allowed ips hold the phone's address on a device, or ''.
sub carrier {
    my ($device) = @_;
    my ($line) = grep { m{\b\Q$ip\E/32\b} }
        split /\n/, $device->host->must('wg', 'show', 'all', 'allowed-ips');
    return defined $line ? (split /\t/, $line)[1] : '';
}

# Whether a ping comes back.
sub pings {
    my ($from, $to) = @_;
    my ($status) = $from->run({ timeout => 5 }, 'ping', '-n', '-q', '-c', '2', '-i', '0.2',
        '-W', '1', $to);
    return $status == 0;
}

sub table { ($gate->host->run(qw(nft list table inet goconnect)))[1] }

sub forwards {
    my ($interface) = $gate->interfaces;
    chomp(my $said = $gate->host->must('cat', "/proc/sys/net/ipv4/conf/$interface/forwarding"));
    return $said;
}

$bob->await(sub { exists $bob->peers->{phone} });
is carrier($bob), '', 'without a gateway nobody carries the phone';
my ($status, $said) = config();
is $status, 409, 'nor has it a configuration';
like $said, qr/"no_gateway".*|goconnect gateway on/, 'but is told what to do';

# ----------------------------------------------------------------- the gateway

subtest 'a member offers, an admin approves' => sub {
    my $offer = $bob->json('gateway', 'on');
    ok $offer->{offered} && !$offer->{gateway}, 'an offer';
    is $bob->network->{gateway}, 'off', 'is no gateway';
    my (undef, $text) = $bob->cli('gateway', 'on', 'lan');
    like $text, qr/offers itself as the gateway of Lan\. An admin of the network has to approve it/,
        'and the command says what is missing';
    my $peers = $s->must(200, GET => "/v1/networks/$network->{id}/peers", undef, @as)->{items};
    my ($offered) = grep { $_->{gateway_offered} } @$peers;
    $s->must(200, PATCH => "/v1/peers/$offered->{id}", { gateway => \1 }, @as);
    ok defined $bob->await(sub { $bob->network->{gateway} eq 'on' }), 'approved, it forwards';
    ok !$bob->json('gateway', 'off', 'lan')->{gateway}, 'and takes it back';
    is $bob->network->{gateway}, 'off', 'at once';
    unlike +($bob->host->run(qw(nft list table inet goconnect)))[1], qr/jump from_/, 'with its rules';
};

my $on = $gate->json('gateway', 'on', 'lan');
ok $on->{gateway}, 'an admin\'s device is the gateway at once';
is $gate->network->{gateway}, 'on', 'and says so';
like table(), qr/ip saddr \{? ?\Q$ip\E.*accept/, 'it forwards for the phone';
is forwards(), 1, 'on the one interface';
is $gate->host->must('cat', '/proc/sys/net/ipv4/ip_forward'), "0\n", 'and no other';
my $gate_key = (grep { $_->{self} } @{ $gate->json('peers')->{peers} })[0]{public_key};
ok defined $bob->await(sub { carrier($bob) eq $gate_key }), 'bob sends by the gateway';

my $end = time + 30;
do { ($status, $said) = config() } until $status == 200 || time > $end;
is $status, 200, 'the phone has a configuration' or diag $said;

# ------------------------------------------------------------------ wg-quick

open my $fh, '>', $host->home . '/phone.conf' or die $!;
chmod 0600, $fh;
print {$fh} $said;
close $fh;
$host->must('wg-quick', 'up', $host->home . '/phone.conf');

for my $to ([ 'the gateway', $gate->address ], [ 'bob', $bob->address ]) {
    my ($name, $address) = @$to;
    my $took = $host->reaches($address, 20);
    ok defined $took, "the phone reaches $name";
    diag sprintf '%s: first ping after %.2f s', $name, $took if defined $took;
}
ok defined $bob->host->reaches($ip, 20), 'bob reaches the phone';
ok defined $gate->host->reaches($ip, 20), 'the gateway does';
SKIP: {
    skip 'this kernel forwards IPv6 for no single interface', 2 if !$on->{ipv6};
    my $six = $bob->network->{ip6_address};
    ok defined $host->reaches($six, 20), 'IPv6: the phone reaches bob';
    ok defined $bob->host->reaches($ip6, 20), 'IPv6: bob reaches the phone';
}
unlike $host->must('ping', '-n', '-c', '3', '-i', '0.2', $bob->address), qr/[Rr]edirect/,
    'nobody is told of a shorter way';

my $cyd = $d{cyd} = GoConnect::Device->new($lab, 'cyd');
$cyd->register($s->url);
$cyd->join($invite{member}{url});
ok defined $host->reaches($cyd->address, 20), 'who joins later is reached too';

subtest 'nothing leaks to other interfaces' => sub {
    # The gateway's machine forwards everything, and its neighbour knows the
    # way back: only our rules are between them and the phone.
    my $eve = $lab->host('eve', with => 'gate');
    $gate->host->must('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    $eve->must('ip', 'route', 'add', '10.40.0.0/24', 'via', $gate->host->address);
    $host->must('wg', 'set', 'phone', 'peer', $gate_key, 'allowed-ips',
        '10.40.0.0/24,' . $eve->address . '/32');
    $host->must('ip', 'route', 'add', $eve->address, 'dev', 'phone');
    ok pings($host, $bob->address), 'the phone reaches bob';
    ok !pings($host, $eve->address), 'but not the gateway\'s neighbour';
    ok !pings($eve, $ip), 'nor he the phone';
    ok !pings($eve, $bob->address), 'nor bob';

    # were it not for the rules, he would be reached
    $gate->kill_daemon;
    $gate->host->must(qw(nft delete table inet goconnect));
    ok pings($host, $eve->address), 'without the rules it would';
    $gate->start_daemon;
    ok defined $gate->await(sub { table() =~ /drop/ }), 'the agent lays them when it starts';
    ok !pings($host, $eve->address), 'and it does not any more';
    $gate->host->must(qw(nft flush ruleset));
    ok defined $gate->await(sub { table() =~ /drop/ }, 60), 'and again when somebody flushes them';
    ok !pings($host, $eve->address), 'nor does it then';

    # a member cannot use the gateway to reach another one by himself
    my $bob_key = (grep { $_->{self} } @{ $bob->json('peers')->{peers} })[0]{public_key};
    like table(), qr/ip saddr \{? ?\Q$ip\E/, 'only the phone\'s packets are forwarded';
    $gate->host->must('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward');
    my ($interface) = $gate->interfaces;
    $gate->host->must('sh', '-c', "echo 1 > /proc/sys/net/ipv4/conf/$interface/forwarding");
};

# --------------------------------------------------------------- what may happen

subtest 'the gateway\'s agent is killed' => sub {
    $gate->kill_daemon;
    ok defined $host->reaches($bob->address, 10), 'the phone still reaches bob';
    my $took = $gate->await(sub { (config())[0] == 409 }, 60);
    ok defined $took, 'the server knows that it is offline';
    like +(config())[1], qr/gate, is offline/, 'and says which';
    $gate->start_daemon;
    ok defined $host->reaches($bob->address, 10), 'started again all is as it was';
    ok defined $gate->await(sub { $gate->network->{gateway} eq 'on' }), 'it is the gateway';
    ok defined $gate->await(sub { (config())[0] == 200 }, 60), 'and the phone has a configuration';
};

subtest 'the gateway is another one while its agent was dead' => sub {
    $gate->kill_daemon;
    my $offer = $cyd->json('gateway', 'on');
    my $peers = $s->must(200, GET => "/v1/networks/$network->{id}/peers", undef, @as)->{items};
    my ($to) = grep { $_->{name} eq 'cyd' } @$peers;
    $s->must(200, PATCH => "/v1/peers/$to->{id}", { gateway => \1 }, @as);
    ok defined $cyd->await(sub { $cyd->network->{gateway} eq 'on' }), 'cyd is it';
    ok defined $bob->await(sub { carrier($bob) eq $to->{public_key} }), 'bob sends by cyd';
    is forwards(), 1, 'the dead one\'s machine forwards still';
    $gate->start_daemon;
    ok defined $gate->await(sub { table() !~ /jump from_/ && forwards() == 0 }),
        'until its agent is back: rules and switch are gone';
    is $gate->network->{gateway}, 'off', 'and it knows';
    my ($again) = (config())[1];
    like $again, qr/^Endpoint = \Q@{[ $cyd->host->address ]}\E:/m, 'the configuration names cyd';
    $gate->json('gateway', 'on');
    ok defined $bob->await(sub { carrier($bob) eq $gate_key }), 'the admin takes it back';
    ok defined $cyd->await(sub { $cyd->network->{gateway} eq 'off' }), 'and cyd stops';
    ok defined $host->reaches($bob->address, 20), 'the phone is back where it was';
};

subtest 'down and up' => sub {
    $gate->json('down');
    unlike table(), qr/drop/, 'down takes the rules along';
    ok !pings($host, $bob->address), 'the phone is cut off';
    $gate->json('up');
    ok defined $host->reaches($bob->address, 30), 'up, and it is back';
};

subtest 'off' => sub {
    $gate->json('gateway', 'off');
    unlike table(), qr/jump from_/, 'no rules';
    is forwards(), 0, 'no forwarding';
    ok defined $bob->await(sub { carrier($bob) eq '' }), 'bob carries the phone no more';
    ok !pings($host, $bob->address), 'which reaches nobody';
    is +(config())[0], 409, 'nor has it a configuration';
};

subtest 'where the rules cannot be laid nothing is forwarded' => sub {
    # a table of our name that belongs to another process
    my $fifo = $gate->host->home . '/nft';
    mkfifo $fifo, 0600 or die "$fifo: $!";
    my $holder = $gate->host->start('holder', 'sh', '-c', "exec nft -i <$fifo");
    open my $nft, '>', $fifo or die "$fifo: $!";
    $nft->autoflush;
    print {$nft} "delete table inet goconnect; add table inet goconnect { flags owner; }\n";
    ok defined $gate->await(sub { table() =~ /flags owner/ }), 'somebody holds our table';
    my ($code, $text) = $gate->cli('gateway', 'on', 'lan');
    is $code, 1, 'the command fails';
    like $text, qr/nftables does not take our rules/, 'and says why';
    is $gate->network->{gateway}, 'failed', 'so does the status';
    is forwards(), 0, 'nothing is forwarded';
    $gate->host->stop($holder);
    ok defined $gate->await(sub { $gate->network->{gateway} eq 'on' }, 60),
        'once the table is free it becomes the gateway by itself';
    is forwards(), 1, 'and forwards';
    is $gate->network->{gateway_error}, undef, 'without a complaint';
    $gate->json('gateway', 'off');
};

subtest 'the gateway\'s membership ends' => sub {
    my $told = $gate->json('gateway', 'on', 'lan', '--endpoint', '203.0.113.9:4242');
    is $told->{endpoints}[0], '203.0.113.9:4242', 'on again, behind a router that forwards';
    ok defined $gate->await(sub { (config())[1] =~ /^Endpoint = 203\.0\.113\.9:4242$/m }),
        'which the configuration names';
    ok defined $host->reaches($bob->address, 30), 'the phone, which was there before, needs none';
    is +($gate->cli('gateway', 'on', 'lan', '--endpoint', 'example.org:1'))[0], 2, 'not a name';
    $gate->leave('lan');
    ok defined $bob->await(sub { carrier($bob) eq '' }), 'it left: bob carries the phone no more';
    unlike table(), qr/drop/, 'no rules are left';
    is_deeply [ $gate->interfaces ], [], 'nor an interface';
    is +(config())[0], 409, 'and the phone is told';
};

$host->run('wg-quick', 'down', $host->home . '/phone.conf');
for my $d (values %d) {
    is $d->stop_daemon, 0, $d->name . ' ends clean';
}
$s->stop;
done_testing;
